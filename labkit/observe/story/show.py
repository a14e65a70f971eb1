"""A story that goes on, on a terminal or as lines of JSON."""

import sys
from collections.abc import Iterable

import msgspec
from rich.console import Console

from labkit.observe.story import picture
from labkit.observe.story.told import Chapter, Story, Told


class Printer:
    """What is known at the start, then hop after hop: in the open frame while it is the same component's."""

    def __init__(self, console: Console, *, brief: bool, json: bool) -> None:
        self._console = console
        self._brief = brief
        self._json = json
        self._chapter = 0
        self._frame = ("", "")

    def start(self, story: Story) -> None:
        if self._json:
            return self.go_on((chapter, hop) for chapter in story.chapters for hop in chapter.hops)
        picture.draw(story, self._console, brief=self._brief)
        self._chapter = story.chapters[-1].began if story.chapters else 0
        return None

    def go_on(self, news: Iterable[tuple[Chapter, Told]]) -> None:
        for chapter, hop in news:
            if self._brief and not hop.is_in_brief:
                continue
            if self._json:
                sys.stdout.write(msgspec.json.encode(hop).decode() + "\n")
                sys.stdout.flush()
                continue
            if chapter.began != self._chapter:
                self._console.print()
                picture.show(iter([picture.chapter_title(chapter, int(chapter.later))]), self._console)
                self._chapter, self._frame = chapter.began, ("", "")
            width = min(self._console.width, 140)
            picture.show(picture.hops([hop], width, self._frame), self._console)
            self._frame = (hop.machine, hop.component)
