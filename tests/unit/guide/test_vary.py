"""What differs from learner to learner."""

import pytest

from labkit.guide.vary import draw, filled, varied
from tests.unit.guide.pages import FRONT, page

VARIES = FRONT.replace("reads: []", "reads: []\nvaries: {PORT: 8001-8003, SHOP: [web, shop]}")
TEXT = VARIES + "Port `$PORT`.\n\n```sh on=master\necho $PORT ${SHOP} $HOME\n```\n\n## S\n<!-- id s -->\ntext $SHOP\n"


def test_the_recorded_page_has_the_first_of_each() -> None:
    lab = page(TEXT)
    assert draw(lab, seed="") == {"PORT": "8001", "SHOP": "web"}


def test_a_seed_always_draws_the_same_and_others_something_else() -> None:
    lab = page(TEXT)
    assert draw(lab, "ada") == draw(lab, "ada")
    drawn = {tuple(draw(lab, str(seed)).values()) for seed in range(60)}
    assert drawn == {(port, shop) for port in ("8001", "8002", "8003") for shop in ("web", "shop")}


def test_all_of_the_page_is_filled_in_and_the_shells_own_variables_stay() -> None:
    lab = varied(page(TEXT), {"PORT": "8002", "SHOP": "shop"})
    text, run = lab.intro
    assert getattr(text, "markdown", "") == "Port `8002`."
    assert getattr(run, "command", "") == "echo 8002 shop $HOME"
    assert getattr(lab.steps[0].parts[0], "markdown", "") == "text shop"
    assert lab.values == {"PORT": "8002", "SHOP": "shop"}


@pytest.mark.parametrize(
    ("text", "result"),
    [("$PORT", "1"), ("${PORT}", "1"), ("$PORTS", "$PORTS"), ("$PO", "$PO"), ("x$PORT.y", "x1.y"), ("$", "$")],
)
def test_only_whole_names_are_filled_in(text: str, result: str) -> None:
    assert filled(text, {"PORT": "1"}) == result


def test_a_seed_may_say_what_each_is() -> None:
    lab = page(TEXT)
    assert draw(lab, "SHOP=shop,PORT=8003") == {"PORT": "8003", "SHOP": "shop"}
    assert draw(lab, "SHOP=nowhere")["SHOP"] in ("web", "shop")
