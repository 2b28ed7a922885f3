"""The chat app: answers of the same retrieval, prompt and engine as the evaluation, over HTTP."""
