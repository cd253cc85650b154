"""What Open Responses asks of an API, with the types of its specification: answers, streams, system prompts, tools, images, turns."""

import json
import urllib.request

import openresponses_types.types as types
import pydantic
from common import base_url, key, run

# events are the types of a stream's events by their names.
events = {}
for name, kind in vars(types).items():
    if name.endswith("StreamingEvent"):
        annotation = kind.model_fields["type"].annotation
        events[list(annotation)[0].value if isinstance(annotation, type) else annotation.__args__[0]] = kind

# heart is a white image of one pixel.
heart = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
weather = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a place",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}


def message(role, content):
    return {"type": "message", "role": role, "content": content}


def ask(model, *items, **more):
    """The answer's resource, checked, and the events of its stream, each checked."""
    body = json.dumps({"model": model, "input": list(items), "stream": False, **more}).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + key}
    with urllib.request.urlopen(urllib.request.Request(base_url + "/responses", body, headers)) as answer:
        text = answer.read().decode()
    if not more.get("stream"):
        return check(types.ResponseResource, json.loads(text)), []
    seen, last = [], None
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" not in lines or lines["data"] == "[DONE]":
            continue
        event = json.loads(lines["data"])
        assert lines["event"] == event["type"], block
        assert event["sequence_number"] == len(seen), block
        seen.append(check(events[event["type"]], event))
        last = event
    assert last["type"] == "response.completed", last
    return check(types.ResponseResource, last["response"]), seen


def check(kind, value):
    try:
        return kind.model_validate(value)
    except pydantic.ValidationError as e:
        raise AssertionError(f"{e}\n{json.dumps(value)}") from e


def whole(answer):
    assert answer.status == "completed", answer.status
    assert answer.output, "no output"


def called(answer):
    assert any(getattr(o.type, "value", o.type) == "function_call" for o in answer.output), answer.output


def basic(model):
    whole(ask(model, message("user", "Say hello in three words."))[0])


def streaming(model):
    answer, seen = ask(model, message("user", "Count to five."), stream=True)
    whole(answer)
    assert len(seen) > 6, seen


def system_prompt(model):
    whole(ask(model, message("system", "Speak as a pirate."), message("user", "Say hello."))[0])


def tool_calling(model):
    called(ask(model, message("user", "What's the weather like in Lisbon?"), tools=[weather])[0])


def tool_calling_streaming(model):
    answer, seen = ask(model, message("user", "What's the weather like in Lisbon?"), tools=[weather], stream=True)
    called(answer)
    names = [type(e).__name__ for e in seen]
    for want in ("Added", "Done"):
        assert f"ResponseOutputItem{want}StreamingEvent" in names, names
    for want in ("Delta", "Done"):
        assert f"ResponseFunctionCallArguments{want}StreamingEvent" in names, names


def image(model):
    content = [{"type": "input_text", "text": "What is in this image?"}, {"type": "input_image", "image_url": heart}]
    whole(ask(model, message("user", content))[0])


def turns(model):
    said = [message("user", "My name is Ada."), message("assistant", "Hello Ada!"), message("user", "What is my name?")]
    whole(ask(model, *said)[0])


def thinking(model):
    for stream in (False, True):
        answer, _ = ask(model, message("user", "mock:think,text=hm"), reasoning={"effort": "low", "summary": "auto"}, stream=stream)
        whole(answer)


run(basic, streaming, system_prompt, tool_calling, tool_calling_streaming, image, turns, thinking)
