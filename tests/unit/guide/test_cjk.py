"""Chinese text is cut where Chinese may be cut."""

from labkit.guide.cjk import broken


def test_lines_are_cut_between_chinese_characters() -> None:
    assert broken("一二三四五六七八九十", 12) == "一二三四五\\\n六七八九十"


def test_no_line_begins_with_a_closing_sign_or_ends_with_an_opening_one() -> None:
    assert broken("一二三四五，六七", 12) == "一二三四\\\n五，六七"
    assert broken("一二三四（五六七）", 12) == "一二三四\\\n（五六七）"


def test_words_and_code_are_not_cut_and_spaces_do_not_begin_a_line() -> None:
    assert broken("一二三 kubelet 四五", 12) == "一二三\\\nkubelet 四\\\n五"
    assert broken("一二三四`kubectl get`五", 12) == "一二三四\\\n`kubectl get`\\\n五"


def test_items_of_a_list_stay_aligned() -> None:
    assert broken("- 一二三四五六七", 12) == "- 一二三四\\\n  五六七"


def test_other_text_code_tables_and_headings_are_left_alone() -> None:
    text = (
        "only english words, however many there are\n| 一二三四五六七 |\n# 一二三四五六七\n```sh\n一二三四五六七\n```"
    )
    assert broken(text, 12) == text
