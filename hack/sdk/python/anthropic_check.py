"""Anthropic's library against models at every maker's API."""

import anthropic
import pydantic
from common import fresh, key, left, maker, models, parameters, root, run, slow

client = anthropic.Anthropic(base_url=root, api_key=key, max_retries=0)
patient = anthropic.Anthropic(base_url=root, api_key=key, max_retries=2)
weather = {"name": "get_weather", "input_schema": parameters}


class City(pydantic.BaseModel):
    city: str
    people: int
    coast: bool


def ask(model, content, **more):
    return {"model": model, "max_tokens": 4000, "messages": [{"role": "user", "content": content}], **more}


def thinking(model):
    if maker(model) == "claude":
        return {"type": "adaptive", "display": "summarized"}
    return {"type": "enabled", "budget_tokens": 1024}


def text_of(message):
    return "".join(b.text for b in message.content if b.type == "text")


def whole(streamed, body):
    """The answer, or what the library makes of its stream."""
    if not streamed:
        return client.messages.create(**body)
    with client.messages.stream(**body) as events:
        return events.get_final_message()


def go_on(body, message, result):
    """The body of the next turn, with the calls' results."""
    calls = [b for b in message.content if b.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": b.id, "content": result} for b in calls]
    said = [b.model_dump(exclude_none=True) for b in message.content]
    turn = [{"role": "assistant", "content": said}, {"role": "user", "content": results}]
    return {**body, "messages": body["messages"] + turn}


def chat(model):
    answer = client.messages.create(**ask(model, "mock:text=hello there"))
    assert text_of(answer) == "hello there"
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def stream(model):
    with client.messages.stream(**ask(model, "mock:text=one two three")) as events:
        pieces = list(events.text_stream)
        answer = events.get_final_message()
    assert len(pieces) > 1 and "".join(pieces) == text_of(answer) == "one two three", pieces
    assert answer.stop_reason == "end_turn" and answer.usage.output_tokens > 0


def tools(model):
    for script, want in {"mock:tool": "You said: sunny", "mock:tools=2": "You said: sunny sunny"}.items():
        for streamed in (False, True):
            body = ask(model, script, tools=[weather])
            first = whole(streamed, body)
            assert first.stop_reason == "tool_use"
            assert all(b.input == {"city": "mock"} for b in first.content if b.type == "tool_use"), first.content
            second = client.messages.create(**go_on(body, first, "sunny"))
            assert text_of(second) == want, (script, streamed, second)


def tool_runner(model):
    asked = []

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return "sunny"

    runner = client.beta.messages.tool_runner(**ask(model, "mock:tool", tools=[get_weather]))
    assert text_of(runner.until_done()) == "You said: sunny"
    assert asked == ["mock"]


def parse(model):
    answer = client.messages.parse(**ask(model, "hi", output_format=City))
    assert answer.parsed_output == City(city="mock", people=1, coast=True)


def thoughts(model):
    for streamed in (False, True):
        body = ask(model, "mock:think,tool", tools=[weather], thinking=thinking(model))
        first = whole(streamed, body)
        assert first.content[0].type == "thinking"
        second = client.messages.create(**go_on(body, first, "mock:thoughts"))
        assert text_of(second) == "1 thoughts", (streamed, second)


def count_tokens(model):
    assert client.messages.count_tokens(model=model, messages=[{"role": "user", "content": "How many?"}]).input_tokens > 0


def abort(model):
    prompt = slow()
    with client.messages.stream(**ask(model, prompt)) as events:
        next(iter(events.text_stream))
    left(model, prompt)


def busy(model):
    try:
        client.messages.create(**ask(model, fresh("status=429,fails=1000")))
    except anthropic.RateLimitError as e:
        assert e.body["error"]["type"] == "rate_limit_error", e.body
    else:
        raise AssertionError("no error")


def retry(model):
    assert text_of(patient.messages.create(**ask(model, fresh("text=at last,status=429,fails=4")))) == "at last"


def error_in_a_stream(model):
    try:
        whole(True, ask(model, "mock:text=a b c d,error=mid"))
    except anthropic.APIError:
        return
    raise AssertionError("no error")


def list_of_models(model):
    assert {m.id for m in client.models.list()} >= set(models)


run(
    chat, stream, tools, tool_runner, parse, thoughts, count_tokens, abort, busy, retry, error_in_a_stream, list_of_models,
)  # fmt: skip
