"""The official Python SDK, unmodified, against a gateway: prints "ok NAME" for each check and ends with 1 at the first that fails."""

import json
import os

import openai

base_url = os.environ["LAYERS_BASE_URL"]
model = os.environ["LAYERS_MODEL"]
tool_prompt = os.environ["LAYERS_TOOL_PROMPT"]
client = openai.OpenAI(base_url=base_url, api_key=os.environ["LAYERS_KEY"], max_retries=0)
messages = [{"role": "user", "content": "Say hello."}]
parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]


def models():
    ids = [m.id for m in client.models.list()]
    assert model in ids, ids
    assert client.models.retrieve(model).id == model


def chat():
    answer = client.chat.completions.create(model=model, messages=messages)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id, "no request id"


def stream():
    text, last = "", None
    for chunk in client.chat.completions.create(
        model=model, messages=messages, stream=True, stream_options={"include_usage": True}
    ):
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
        last = chunk
    assert text
    assert last.choices == []
    assert last.usage.completion_tokens > 0


def stream_without_usage():
    for chunk in client.chat.completions.create(model=model, messages=messages, stream=True):
        assert chunk.usage is None, "usage that nobody asked for"
        assert len(chunk.choices) == 1


def tool_calls():
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": tool_prompt}], tools=tools
    )
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments), dict)
    assert answer.choices[0].finish_reason == "tool_calls"


def invalid_key():
    other = openai.OpenAI(base_url=base_url, api_key="not-a-key", max_retries=0)
    try:
        other.chat.completions.create(model=model, messages=messages)
    except openai.AuthenticationError as e:
        assert e.status_code == 401
        assert "Invalid API key" in e.message, e.message
    else:
        raise AssertionError("an invalid key is taken")


def malformed_body():
    try:
        client.post(
            "/chat/completions",
            cast_to=object,
            content=b'{"model":',
            options={"headers": {"Content-Type": "application/json"}},
        )
    except openai.BadRequestError as e:
        assert e.status_code == 400
        assert e.type == "invalid_request_error", e.type
    else:
        raise AssertionError("a malformed body is taken")


for name, check in {
    "models": models,
    "chat": chat,
    "stream": stream,
    "stream without usage": stream_without_usage,
    "tools": tool_calls,
    "invalid key": invalid_key,
    "malformed body": malformed_body,
}.items():
    check()
    print(f"ok {name}", flush=True)
