from __future__ import annotations

import pytest

from rpclab import InvalidOption, LabError
from rpclab.course import catalogue, record
from rpclab.course.prediction import predict

IDS = [question.id for lesson in catalogue.numbers() for question in catalogue.read(lesson).questions]


@pytest.fixture
def prediction():
    prediction = predict("04-killed-worker")
    yield prediction
    prediction.close()


@pytest.fixture(params=IDS)
def question(request):
    return catalogue.question(request.param)


def test_there_is_one_for_each_lesson_of_the_catalogue():
    assert [lesson for lesson in catalogue.numbers() if not catalogue.read(lesson).questions] == ["15"]  # it has drills


def test_exactly_one_option_happens_and_each_has_a_reason_of_its_own(question):
    values = [option.value for option in question.options]
    assert values.count(question.happens) == 1
    assert len(question.options) >= 3
    for texts in ([o.says for o in question.options], [o.because for o in question.options]):
        assert len(set(texts)) == len(texts)
        assert all(texts)


def test_every_option_is_compared_with_what_happens(question):
    for number, option in enumerate(question.options, 1):
        comparison = predict(question.id).commit(number).reveal()
        right = option.value == question.happens
        assert comparison.state == ("right" if right else "wrong")
        assert option.because in comparison.because
        assert question.option(question.happens).because in comparison.because
        assert comparison.predicted == option.says


def test_without_a_prediction_what_happens_is_told_in_the_same_words_each_time(question):
    first, second = predict(question.id).reveal(), predict(question.id).reveal()
    assert (repr(first), first._repr_html_()) == (repr(second), second._repr_html_())
    assert repr(first).startswith(f"{question.id}: no prediction was made\nWhat happened: ")
    assert record.read()[record.PREDICTIONS] == {}


def test_its_text_twin_shows_the_options_and_the_one_that_was_chosen(prediction):
    assert str(prediction).splitlines()[-4:] == [
        "  1. It is lost with the worker.",
        "  2. It stays unacked, until a person deals with it.",
        "  3. It is ready again, for any other worker.",
        "  4. It goes to the dead-letter queue.",
    ]
    prediction.commit("It is lost with the worker.")
    assert "  1. It is lost with the worker.  (committed)" in str(prediction)
    assert repr(prediction) == "Prediction('04-killed-worker')"


def test_a_click_commits_like_code_does(prediction):
    assert prediction.button.disabled
    prediction._radio.value = 2
    assert prediction.committed is None
    assert not prediction.button.disabled
    prediction.button.click()
    assert prediction.committed == "It is ready again, for any other worker."
    assert prediction._radio.disabled
    assert prediction.button.disabled


def test_what_was_observed_decides_and_not_what_was_expected(prediction):
    comparison = prediction.commit(3).observed("lost")
    assert comparison.state == "wrong"
    assert comparison.happened == "It is lost with the worker."


def test_what_no_option_foretells_is_said_to_be_none_of_them(prediction):
    comparison = prediction.commit(1).observed(["<script>"])
    assert comparison.happened == "`['<script>']`"
    assert "None of the options" in comparison.because
    assert "<script>" not in comparison._repr_html_()


def test_a_prediction_stands(prediction):
    prediction.commit(1)
    with pytest.raises(LabError, match=r"you predicted 'It is lost.*rpclab\.predict\('04-killed-worker'\)"):
        prediction.commit(3)
    assert prediction.committed == "It is lost with the worker."


def test_once_it_is_known_what_happens_there_is_nothing_to_predict(prediction):
    prediction.reveal()
    assert prediction._radio.disabled
    with pytest.raises(LabError, match="you know what happens"):
        prediction.commit(3)


@pytest.mark.parametrize("option", [0, 5, "nonsense", None, True, ["1"]])
def test_an_option_that_is_not_there_is_refused(prediction, option):
    with pytest.raises(InvalidOption, match="from 1 to 4"):
        prediction.commit(option)


def test_a_comparison_is_noted_once(prediction):
    prediction.commit(1)
    prediction.reveal()
    prediction.reveal()
    entry = {"state": "wrong", "tries": 1, "chosen": "'lost'"}
    assert record.read()[record.PREDICTIONS] == {"04-killed-worker": entry}


def test_the_choice_that_is_kept_is_the_first(prediction):
    prediction.commit(1).reveal()
    predict("04-killed-worker").commit(3).reveal()
    entry = {"state": "right", "tries": 2, "chosen": "'lost'"}
    assert record.read()[record.PREDICTIONS] == {"04-killed-worker": entry}


def test_a_record_tells_the_options_of_a_prediction_apart(question):
    assert len({option.key for option in question.options}) == len(question.options)


def test_closing_twice_is_fine(prediction):
    prediction.close()
    prediction.close()


def test_an_unknown_id_lists_those_of_its_lesson():
    with pytest.raises(InvalidOption, match=r"'05-nonsense'\. Lesson 05 has: 05-two-requests, 05-never"):
        predict("05-nonsense")
