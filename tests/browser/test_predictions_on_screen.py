"""Predictions and the map of progress under a person's hands: choose, commit, run, compare, look what is done."""

from __future__ import annotations

import re

import pytest
from in_jupyterlab import RECORD
from playwright.sync_api import Locator, Page, expect
from test_every_lesson import AS_SAVED

from rpclab.course import catalogue

QUESTION = catalogue.question("01-to-nowhere")
EXERCISE = catalogue.exercise("01-fix-the-sender")


@pytest.fixture
def notebook(open_cells):
    """Return a function that opens these cells behind one that keeps the record apart."""
    return lambda *sources: open_cells(RECORD, *sources)


def run(page: Page, source: str) -> Locator:
    """Type a cell at the end of the notebook and run it, as somebody does; return it when it is done."""
    cell = page.locator(".jp-CodeCell").nth(page.locator(".jp-CodeCell").count())
    page.get_by_text("Click to add a cell").click()
    page.keyboard.press("Enter")
    expect(cell.locator(".cm-content")).to_be_focused()
    page.keyboard.insert_text(source)
    page.keyboard.press("Control+Enter")
    expect(cell.locator(".jp-InputPrompt").first).to_have_text(re.compile(r"\[\d+\]:"))
    return cell


def asked(page: Page) -> Locator:
    """Return the card of a question that is asked in a new cell."""
    card = run(page, f"guess = rpclab.predict('{QUESTION.id}')\nguess").locator(".rpclab-card")
    expect(card).to_contain_text("What will happen?")
    expect(card).to_contain_text("commit before you run")
    return card


def test_a_prediction_is_compared_with_what_was_observed_and_put_right_if_it_is_wrong(notebook, page, screenshot):
    notebook()
    card = asked(page)
    wrong = next(option for option in QUESTION.options if option.value != QUESTION.happens)
    right = QUESTION.option(QUESTION.happens)
    commit = card.get_by_role("button", name="Commit")
    expect(commit).to_be_disabled()
    card.get_by_label(wrong.says.replace("`", "")).check()
    commit.click()
    expect(card).to_contain_text("You committed to: " + wrong.says.replace("`", ""))
    expect(commit).to_be_disabled()

    told = run(page, f"guess.observed({QUESTION.happens!r})").locator(".jp-OutputArea-output")
    expect(told).to_contain_text("\u2715")
    for text in (wrong.says, wrong.because, right.says, right.because):
        expect(told).to_contain_text(text.replace("`", ""))
    told.scroll_into_view_if_needed()
    screenshot("prediction_wrong")

    card = asked(page)
    card.get_by_label(right.says.replace("`", "")).check()
    card.get_by_role("button", name="Commit").click()
    told = run(page, f"guess.observed({QUESTION.happens!r})").locator(".jp-OutputArea-output")
    expect(told).to_contain_text("\u2713")
    expect(told).to_contain_text(right.because.replace("`", ""))


def test_each_question_of_a_lesson_that_is_not_run_here_is_asked_with_all_its_options(notebook, page):
    asking = catalogue.numbers()
    questions = [question for lesson in AS_SAVED if lesson in asking for question in catalogue.read(lesson).questions]
    notebook(*(f"rpclab.predict('{question.id}')" for question in questions))
    cards = page.locator(".rpclab-card", has_text="What will happen?")
    expect(cards).to_have_count(len(questions))
    for card, question in zip(cards.all(), questions, strict=True):
        for option in question.options:
            expect(card.get_by_label(option.says.replace("`", ""))).to_be_enabled()


def test_the_map_shows_what_is_solved_until_it_is_reset(notebook, page, screenshot):
    notebook(f"exercise = rpclab.exercise('{EXERCISE.id}')")
    run(page, EXERCISE.solved)
    expect(run(page, f"exercise.check({EXERCISE.name})")).to_contain_text("\u2713 right")
    chart = run(page, "progress = rpclab.progress()\nprogress").locator(".rpclab-card")
    expect(chart.get_by_role("img", name=f"{EXERCISE.id}: right")).to_have_text("\u2713")
    expect(chart.locator("tr", has_text="01 Publishing")).to_contain_text("1 of ")
    chart.scroll_into_view_if_needed()
    screenshot("progress")
    run(page, "progress.reset()")
    expect(chart.get_by_role("img", name=f"{EXERCISE.id}: not attempted")).to_have_text("\u25cb")
