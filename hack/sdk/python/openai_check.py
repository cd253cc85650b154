"""OpenAI's library against models at every maker's API: chat completions and Responses."""

import json

import openai
import pydantic
from common import base_url, fresh, key, left, maker, parameters, run, slow

client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0)
patient = openai.OpenAI(base_url=base_url, api_key=key, max_retries=2)
weather = {"type": "function", "function": {"name": "get_weather", "parameters": parameters}}
weather_item = {"type": "function", "name": "get_weather", "parameters": parameters, "strict": True}


class City(pydantic.BaseModel):
    city: str
    people: int
    coast: bool


mock_city = City(city="mock", people=1, coast=True)


def user(content):
    return [{"role": "user", "content": content}]


def chat(model):
    answer = client.chat.completions.create(model=model, messages=user("mock:text=hello there"))
    assert answer.choices[0].message.content == "hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id


def stream(model):
    with client.chat.completions.stream(
        model=model, messages=user("mock:text=one two three"), stream_options={"include_usage": True}
    ) as events:
        pieces = [e.delta for e in events if e.type == "content.delta"]
        answer = events.get_final_completion()
    assert len(pieces) > 1 and "".join(pieces) == "one two three", pieces
    assert answer.choices[0].message.content == "one two three"
    assert answer.usage.completion_tokens > 0


def tools(model):
    for script, want in {"mock:tool": "You said: sunny", "mock:tools=2": "You said: sunny sunny"}.items():
        for streamed in (False, True):
            messages = user(script)
            if streamed:
                with client.chat.completions.stream(model=model, messages=messages, tools=[weather]) as events:
                    message = events.get_final_completion().choices[0].message
            else:
                message = client.chat.completions.create(model=model, messages=messages, tools=[weather]).choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                assert json.loads(call.function.arguments) == {"city": "mock"}
                messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
            for m in messages:
                for call in m.get("tool_calls", []):
                    call["function"].pop("parsed_arguments", None)
                m.pop("parsed", None)
            second = client.chat.completions.create(model=model, messages=messages, tools=[weather])
            assert second.choices[0].message.content == want, (script, streamed, second)


def parse(model):
    answer = client.chat.completions.parse(model=model, messages=user("hi"), response_format=City)
    assert answer.choices[0].message.parsed == mock_city


def thoughts(model):
    more = {"model": model, "tools": [weather], "reasoning_effort": "low"}
    messages = user("mock:think,tool")
    message = client.chat.completions.create(messages=messages, **more).choices[0].message
    messages += [
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "mock:thoughts"},
    ]
    text = client.chat.completions.create(messages=messages, **more).choices[0].message.content
    assert text == ("0 thoughts" if maker(model) == "openai" else "1 thoughts"), text


def abort(model):
    prompt = slow()
    with client.chat.completions.create(model=model, messages=user(prompt), stream=True) as events:
        for chunk in events:
            if chunk.choices and chunk.choices[0].delta.content:
                break
    left(model, prompt)


def busy(model):
    try:
        client.chat.completions.create(model=model, messages=user(fresh("status=429,fails=1000")))
    except openai.RateLimitError as e:
        assert e.status_code == 429
    else:
        raise AssertionError("no error")


def retry(model):
    answer = patient.chat.completions.create(model=model, messages=user(fresh("text=at last,status=429,fails=4")))
    assert answer.choices[0].message.content == "at last"


def error_in_a_stream(model):
    try:
        for _ in client.chat.completions.create(
            model=model, messages=user("mock:text=a b c d,error=mid"), stream=True
        ):
            pass
    except openai.APIError:
        return
    raise AssertionError("no error")


def responses(model):
    answer = client.responses.create(model=model, input="mock:text=hello there")
    assert answer.output_text == "hello there"
    assert answer.status == "completed"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def responses_stream(model):
    with client.responses.stream(model=model, input="mock:text=one two three") as events:
        pieces = [e.delta for e in events if e.type == "response.output_text.delta"]
        answer = events.get_final_response()
    assert len(pieces) > 1 and answer.output_text == "one two three", pieces


def responses_parse(model):
    answer = client.responses.parse(model=model, input="hi", text_format=City)
    assert answer.output_parsed == mock_city


def responses_thoughts(model):
    more = {
        "model": model,
        "tools": [weather_item],
        "store": False,
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    }
    items = user("mock:think,tool")
    first = client.responses.create(input=items, **more)
    assert first.output[0].type == "reasoning"
    items += [o.model_dump(exclude_none=True) for o in first.output]
    call = next(o for o in first.output if o.type == "function_call")
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "mock:thoughts"})
    second = client.responses.create(input=items, **more)
    assert second.output_text == "1 thoughts", second.output_text


run(
    chat, stream, tools, parse, thoughts, abort, busy, retry, error_in_a_stream,
    responses, responses_stream, responses_parse, responses_thoughts,
)  # fmt: skip
