"""Token ids of conversations by transformers, from folders that rtune wrote.

prompt_ids.py FOLDER... < conversations.json

Standard input is a JSON array of conversations, each an array of messages. For each folder a line is printed: a JSON array with,
for each conversation, the ids that its tokenizer and template ask for an answer with.
"""

import json
import sys

from transformers import AutoTokenizer

conversations = json.load(sys.stdin)
for folder in sys.argv[1:]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [
        tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=False)
        for messages in conversations
    ]
    print(json.dumps([[int(token) for token in row] for row in ids]))
