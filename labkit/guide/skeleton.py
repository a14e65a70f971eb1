"""`labkit lab new NAME`: a lab to begin with, in both languages. It plays as it is; the author replaces it."""

import re
import sys
from pathlib import Path

from labkit.guide import catalog

_EN = """---
title: "{name}: what it is about, in one line"
minutes: 15
objectives:
- what a learner can do afterwards
needs: {{agents: 1}}
reads: []
---

# {name}: what it is about, in one line

Two or three sentences: the question that this lab answers.

## The first step
<!-- id first -->

What is done, and why.

```predict
What will it print?
a. nothing
b. the names of the nodes
```
<!-- answer b
The reason, with the function of labkit that decides it.
-->

```sh on=master
kubectl get nodes -o name | tee nodes
```
```output
(python -m labkit.guide.record {name} fills this in)
```

```sh check on=master blames=kube-apiserver
[ -s nodes ] || {{ echo "the file nodes is empty or missing, expected the names of the nodes"; exit 1; }}
```

<details>
<summary>Hint: what often goes wrong</summary>

Where to look.

</details>

The debrief: what happened, in which function of which file, and what the original did.

<!-- reset on=master
rm -f nodes
-->
"""
_ZH = """---
title: "{name}：一句话说清它讲什么"
minutes: 15
objectives:
- 做完之后学习者会什么
needs: {{agents: 1}}
reads: []
---

# {name}：一句话说清它讲什么

两三句话：这个实验回答什么问题。

## 第一步
<!-- id first -->

做什么，为什么做。

```predict
它会打印什么？
a. 什么也没有
b. 各节点的名字
```
<!-- answer b
理由，以及由 labkit 的哪个函数决定。
-->

```sh on=master
kubectl get nodes -o name | tee nodes
```
```output
(python -m labkit.guide.record {name} fills this in)
```

```sh check on=master blames=kube-apiserver
[ -s nodes ] || {{ echo "the file nodes is empty or missing, expected the names of the nodes"; exit 1; }}
```

<details>
<summary>提示：常见的问题</summary>

该看哪里。

</details>

回顾：发生了什么，在哪个文件的哪个函数里，当年的原版又是怎么做的。

<!-- reset on=master
rm -f nodes
-->
"""


def run(name: str, folder: Path) -> int:
    """Write the pages; nothing that exists is overwritten."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        print(f"{name!r} is no name of a lab; expected a-z, 0-9 and -, a letter first", file=sys.stderr)
        return 2
    if name in catalog.pages(folder):
        print(f"{catalog.pages(folder)[name]} is there already", file=sys.stderr)
        return 2
    numbers = [int(found[1]) for path in folder.glob("*") if (found := re.match(r"(\d+)-", path.name))]
    home = folder / f"{max(numbers, default=0) + 1:02}-{name}"
    home.mkdir(parents=True)
    for file, text in (("lab.md", _EN), ("lab.zh.md", _ZH)):
        (home / file).write_text(text.format(name=name), encoding="utf-8")
        print(f"{home / file}")
    print(
        f"play it: labkit lab {name} --play     look it over: labkit lab check {home}/lab.md     how: CONTRIBUTING.md"
    )
    return 0
