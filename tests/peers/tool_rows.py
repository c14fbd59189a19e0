"""Rows with tools, calls and reasoning as transformers renders them, one JSON object a line.

    python tests/peers/tool_rows.py > data/tests/fixtures/tool_rows.jsonl
    python tests/peers/tool_rows.py TEMPLATES.jsonl > rows.jsonl
    RTUNE_EXAM_TOOL_ROWS=rows.jsonl cargo test --release -p rtune-data --lib tool_rows -- --nocapture

Without templates it takes a small one of our own; TEMPLATES.jsonl has them as the exam of templates has. Needs transformers
5.23 or newer (its `render_jinja_template`); the clock stands at 2026-01-31.
"""
import datetime
import json
import sys

from transformers.utils import chat_template_utils

DATE = "2026-01-31"

OWN = """{%- macro calls(message) %}
{%- for call in message.tool_calls %}
[call {{ call.id }}] {{ call.function.name }} {{ call.function.arguments if call.function.arguments is string else call.function.arguments | tojson }}
{%- endfor %}
{%- endmacro %}
{%- if tools %}
{{- '[tools]\\n' }}
{%- for tool in tools %}
{{- tool | tojson + '\\n' }}
{%- endfor %}
{%- endif %}
{%- for message in messages %}
{{- '[' + message.role + ('=' + message.name if message.name is defined else '') + ']\\n' }}
{%- if message.reasoning_content is string %}
{{- '<think>' + message.reasoning_content + '</think>\\n' }}
{%- endif %}
{%- if message.thinking is defined %}
{{- '(thought)' }}
{%- endif %}
{%- if message.content is none %}
{{- '(none)' }}
{%- elif message.content is defined %}
{{- message.content }}
{%- else %}
{{- '(absent)' }}
{%- endif %}
{%- if message.tool_calls %}
{{- calls(message) }}
{%- endif %}
{%- if message.tool_call_id is defined %}
{{- '\\n(of ' + message.tool_call_id + ')' }}
{%- endif %}
{{- '</s>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '[assistant]\\n' }}
{%- endif %}"""

WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "Das Wetter an einem Ort, \"heute\" <b>",
    "parameters": {"type": "object", "properties": {"place": {"type": "string", "enum": ["Köln", "東京"]}, "days": {"type": "integer", "default": 1, "maximum": 7.5}}, "required": ["place"]}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "The time", "parameters": {"type": "object", "properties": {}}}}


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, arguments, identity="a1b2c3d4e"):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


ASK = turn("user", "How is the weather in Köln? 🌦 {{ x }} <|a|>")
PLACE = {"place": "Köln", "days": 2, "exact": 1.0, "more": None, "nested": [True, {"z": "\"q\"\n", "a": 1e-7}]}
CALL = {"role": "assistant", "content": None, "tool_calls": [call("weather", PLACE)]}
RESULT = turn("tool", "{\"sky\": \"grey\"}", tool_call_id="a1b2c3d4e", name="weather")
SAID = turn("assistant", "It is grey.")

ROWS = [
    ("call", [ASK, CALL, RESULT, SAID], [WEATHER]),
    ("call asked", [turn("system", "Be short."), ASK, CALL, RESULT], [WEATHER, CLOCK]),
    ("call last", [ASK, CALL], [WEATHER]),
    ("call with text", [ASK, turn("assistant", "I look.", tool_calls=[call("weather", {})]), RESULT, SAID], [WEATHER]),
    ("call without content", [ASK, {"role": "assistant", "tool_calls": [call("clock", {})]}, RESULT, SAID], [WEATHER, CLOCK]),
    ("call of text", [ASK, {"role": "assistant", "content": "", "tool_calls": [call("weather", "{\"place\": \"Bonn\"}")]}, RESULT, SAID], [WEATHER]),
    ("two calls", [ASK, {"role": "assistant", "content": None, "tool_calls": [call("weather", PLACE), call("clock", {}, "b1b2c3d4e")]},
                   RESULT, turn("tool", "12:00", tool_call_id="b1b2c3d4e", name="clock"), SAID, turn("user", "Thanks"), turn("assistant", "Gladly.")], [WEATHER, CLOCK]),
    ("tools unused", [turn("system", "Be short."), turn("user", "Hi"), turn("assistant", "Hello.")], [CLOCK]),
    ("no tools", [ASK, CALL, RESULT, SAID], None),
    ("reasoning_content", [ASK, turn("assistant", "Grey.", reasoning_content="Köln is grey.\nSure.")], None),
    ("thinking", [ASK, turn("assistant", "Grey.", thinking="Köln is grey.")], None),
    ("reasoning", [ASK, turn("assistant", "Grey.", reasoning="Köln is grey."), turn("user", "Sure?"), turn("assistant", "Yes.", reasoning="Of course.")], None),
    ("two names of reasoning", [ASK, turn("assistant", "Grey.", thinking="one", reasoning_content="other")], None),
    ("reasoning and call", [ASK, {**CALL, "reasoning_content": "I must ask."}, RESULT, {**SAID, "reasoning_content": "Now I know."}], [WEATHER]),
    ("empty reasoning", [ASK, turn("assistant", "Grey.", reasoning_content="")], None),
]


def token(config, name):
    value = config.get(name)
    return value.get("content") if isinstance(value, dict) else value


def chosen(row, tools):
    """The template that transformers takes for these tools."""
    if row["jinja"] is not None:
        return row["jinja"]
    named = row["config"].get("chat_template")
    if not isinstance(named, list):
        return named
    by_name = {one["name"]: one["template"] for one in named}
    return by_name["tool_use"] if tools is not None and "tool_use" in by_name else by_name.get("default")


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromisoformat(DATE)


def main():
    chat_template_utils.datetime = Clock
    own = {"model": "own", "jinja": OWN, "config": {"eos_token": "</s>"}}
    cases = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")] if len(sys.argv) > 1 else [own]
    done = set()
    for case in cases:
        if case["model"] in done:
            continue
        done.add(case["model"])
        tokens = {name: token(case["config"], name) for name in ["bos_token", "eos_token", "pad_token", "unk_token"]}
        tokens = {name: text for name, text in tokens.items() if text is not None}
        for name, messages, tools in ROWS:
            template = chosen(case, tools)
            if template is None:
                continue
            prompt = messages[-1]["role"] != "assistant"
            out = {"model": case["model"], "case": name, "template": template, "tokens": tokens, "date": DATE,
                   "row": {"messages": messages, **({"tools": tools} if tools else {})}, "add_generation_prompt": prompt}
            try:
                rendered, _ = chat_template_utils.render_jinja_template(
                    conversations=[messages], tools=tools, chat_template=template, add_generation_prompt=prompt, **tokens)
                out["expected"] = rendered[0]
            except Exception as error:  # what a template refuses, it must refuse here too
                out["refused"] = f"{type(error).__name__}: {error}"
            print(json.dumps(out, ensure_ascii=False))


main()
