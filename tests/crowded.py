"""One request and one answer of each protocol with fields of all kinds in it, so that every parser is reached."""

from __future__ import annotations

from typing import Any

_DECLARED = {"type": "object", "properties": {"a": {"type": "string"}}}

REQUESTS: dict[str, dict[str, Any]] = {
    "openai-chat": {
        "model": "m", "max_tokens": 5, "max_completion_tokens": 6, "stop": ["x"], "n": 1, "temperature": 1, "seed": 1,
        "logprobs": True, "top_logprobs": 2, "logit_bias": {"5": 1}, "stream": True, "user": "u",
        "metadata": {"a": "b"},
        "stream_options": {"include_usage": True}, "service_tier": "auto", "reasoning_effort": "low",
        "reasoning": {"effort": "high", "max_tokens": 5}, "modalities": ["text"], "store": False, "verbosity": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "name": "u", "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "f"}}]},
            {"role": "assistant", "content": None, "refusal": None, "reasoning_content": "r", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "d", "type": "custom", "custom": {"name": "g", "input": "x"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "tool", "tool_call_id": "d", "content": [{"type": "text", "text": "r"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "function_call": {
                "name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "r"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}},
            {"type": "custom", "custom": {"name": "g", "format": {"type": "grammar", "grammar": {
                "syntax": "lark", "definition": "start: x"}}}}],
        "functions": [{"name": "h"}], "web_search_options": {},
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
            {"type": "function", "function": {"name": "f"}}]}},
    },
    "anthropic": {
        "model": "m", "max_tokens": 2000, "stop_sequences": ["x"], "temperature": 1, "top_p": 0.5, "top_k": 3,
        "stream": True, "metadata": {"user_id": "u"}, "service_tier": "auto", "speed": "fast",
        "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "image", "source": {"type": "url", "url": "http://x"}},
                {"type": "document", "title": "t", "context": "c", "citations": {"enabled": True}, "source": {
                    "type": "content", "content": [{"type": "text", "text": "x"}]}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "r", "signature": "s"}, {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "t", "citations": [{"type": "char_location", "cited_text": "x",
                    "document_index": 0, "start_char_index": 0, "end_char_index": 1, "document_title": "t"}]},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "s", "content": [
                    {"type": "web_search_result", "title": "t", "url": "http://x", "encrypted_content": "e"}]},
                {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c", "is_error": True, "content": [
                    {"type": "text", "text": "r"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]}]},
            {"role": "system", "content": "later"},
        ],
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True,
             "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "bash_20250124", "name": "bash"}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    },
    "openai-responses": {
        "model": "m", "instructions": "s", "max_output_tokens": 50, "temperature": 1, "top_p": 0.5, "stream": True,
        "user": "u", "safety_identifier": "i", "metadata": {"a": "b"}, "service_tier": "auto", "store": True,
        "previous_response_id": None, "background": False, "truncation": "auto", "prompt_cache_key": "k",
        "top_logprobs": 2, "max_tool_calls": 3, "parallel_tool_calls": False, "stream_options": {"include_usage": True},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "new_field": {"a": [1]},
        "reasoning": {"effort": "low", "summary": "auto", "context": "all", "mode": "pro"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": _DECLARED}},
        "input": [
            {"role": "developer", "content": "d"},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "f.pdf"},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "r"}],
             "encrypted_content": "e"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
             "content": [
                {"type": "output_text", "text": "t", "annotations": [
                    {"type": "url_citation", "url": "http://x", "title": "t", "start_index": 0, "end_index": 1}]},
                {"type": "refusal", "refusal": "no"}]},
            {"type": "web_search_call", "id": "ws_1", "status": "completed",
             "action": {"type": "search", "query": "q"}},
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{\"a\":1}",
             "namespace": "ns"},
            {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "x"},
            {"type": "local_shell_call", "call_id": "l", "id": "l1", "status": "completed",
             "action": {"type": "exec", "command": ["ls"], "env": {}}},
            {"type": "shell_call", "call_id": "s", "action": {"commands": ["ls"], "timeout_ms": 5}},
            {"type": "apply_patch_call", "call_id": "p", "operation": {"type": "delete_file", "path": "a"}},
            {"type": "computer_call", "call_id": "m", "action": {"type": "click", "x": 1, "y": 1}},
            {"type": "function_call_output", "call_id": "c", "output": [
                {"type": "input_text", "text": "r"}, {"type": "input_image", "image_url": "http://x"}]},
            {"type": "custom_tool_call_output", "call_id": "d", "output": "r"},
            {"type": "local_shell_call_output", "id": "l1", "call_id": "l", "output": "r"},
            {"type": "shell_call_output", "call_id": "s", "output": [
                {"stdout": "o", "stderr": "e", "outcome": {"type": "exit", "exit_code": 1}}]},
            {"type": "apply_patch_call_output", "call_id": "p", "status": "failed", "output": "no"},
            {"type": "computer_call_output", "call_id": "m", "output": {
                "type": "computer_screenshot", "image_url": "data:image/png;base64,aGk="}},
            {"type": "tool_search_call", "call_id": "t", "execution": "client", "arguments": {"query": "q"}},
            {"type": "tool_search_output", "call_id": "t", "execution": "client", "status": "completed",
             "tools": [{"type": "function", "name": "later", "parameters": _DECLARED}]},
            {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "more"}]},
            {"type": "configuration_update", "reasoning": {"effort": "high"}},
            {"type": "compaction", "encrypted_content": "e"},
            {"role": "user", "content": "last"},
        ],
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": _DECLARED, "strict": True},
            {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
            {"type": "namespace", "name": "ns", "description": "d", "tools": [{"type": "function", "name": "f"}]},
            {"type": "web_search", "filters": {"allowed_domains": ["x"]}, "search_context_size": "low"},
            {"type": "tool_search", "execution": "client", "parameters": _DECLARED},
            {"type": "mcp", "server_label": "l", "server_url": "http://x"}, {"type": "local_shell"}],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                {"inline_data": {"mime_type": "audio/wav", "data": "aGk"}},
                {"fileData": {"fileUri": "files/1", "mimeType": "video/mp4"}}, {"new": {"a": 1}}]},
            {"role": "model", "parts": [
                {"text": "t", "thought": True, "thoughtSignature": "c2ln"}, {"executableCode": {"code": "1"}},
                {"codeExecutionResult": {"outcome": "OK", "output": "1"}},
                {"functionCall": {"id": "i", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "g"}}]},
            {"role": "user", "parts": [
                {"function_response": {"id": "i", "name": "f", "response": {"output": "x"}, "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}},
                {"functionResponse": {"name": "g", "response": {"error": "no"}}}]},
        ],
        "tools": [
            {"functionDeclarations": [
                {"name": "f", "description": "d", "parameters": {
                    "type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}, "required": ["a"]}},
                {"name": "g", "parametersJsonSchema": {"type": "object"}}]},
            {"googleSearch": {}}, {"codeExecution": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
                       "retrievalConfig": {"languageCode": "en"}},
        "generationConfig": {
            "temperature": 1, "topP": 0.5, "topK": 4, "stopSequences": ["a"], "candidateCount": 1, "seed": 3,
            "maxOutputTokens": 50, "presencePenalty": 1, "thinkingConfig": {"thinkingLevel": "LOW",
                "thinkingBudget": 5, "includeThoughts": True}, "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {}}, "responseJsonSchema": {"type": "object"},
            "responseFormat": [{"text": {"mimeType": "application/json", "schema": {"type": "object"}}}],
            "responseLogprobs": True, "logprobs": 2, "responseModalities": ["TEXT"], "speechConfig": {},
        },
        "serviceTier": "flex", "store": False, "labels": {"a": "b"}, "safetySettings": [{}], "cachedContent": None,
    },
    "ollama": {
        "model": "m", "stream": True, "think": "low", "keep_alive": "5m", "logprobs": True, "top_logprobs": 2,
        "format": {"type": "object", "properties": {"a": {"type": "string"}}},
        "options": {
            "num_ctx": 4096, "num_predict": 50, "stop": ["x"], "temperature": 1, "top_p": 0.5, "top_k": 3, "min_p": 0.1,
            "seed": 7, "presence_penalty": 1, "frequency_penalty": 1, "repeat_penalty": 1.1, "mirostat": 2,
        },
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u", "images": ["aGk=", "data:image/png;base64,aGk="]},
            {"role": "assistant", "content": "", "thinking": "r", "tool_calls": [
                {"id": "c", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}},
                {"function": {"name": "g", "arguments": "{}"}}]},
            {"role": "tool", "tool_name": "f", "tool_call_id": "c", "content": "r", "images": ["aGk="]},
            {"role": "tool", "name": "g", "content": "r"},
            {"role": "system", "content": "later"},
            {"role": "user", "content": "last"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": _DECLARED}},
                  {"type": "function", "function": {"name": "g", "parameters": None}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    },
}  # fmt: skip

ANSWERS: dict[str, dict[str, Any]] = {
    "openai-chat": {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "service_tier": "default",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "logprobs": None, "message": {
            "role": "assistant", "content": [{"type": "text", "text": "t"}, {"type": "thinking", "thinking": [
                {"type": "text", "text": "h"}]}], "refusal": "no", "reasoning_content": "r", "reasoning": "r",
            "reasoning_details": [{"type": "reasoning.text", "text": "r"}],
            "annotations": [{"type": "url_citation", "url_citation": {
                "url": "http://x", "title": "t", "start_index": 0, "end_index": 1}}],
            "images": [{"image_url": {"url": "data:image/png;base64,aGk="}}],
            "audio": {"id": "a", "data": "aGk=", "transcript": "t", "expires_at": 1},
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                {"id": "d", "type": "custom", "custom": {"name": "g", "input": "x"}}],
            "function_call": {"name": "h", "arguments": "{}"}}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "prompt_tokens_details": {
            "cached_tokens": 3, "cache_write_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 2}},
    },
    "openai-responses": {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "incomplete", "error": None,
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "r"}],
             "content": [{"type": "reasoning_text", "text": "raw"}], "encrypted_content": "e"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "final_answer",
             "content": [
                {"type": "output_text", "text": "t", "logprobs": [], "annotations": [
                    {"type": "url_citation", "url": "http://x", "title": "t", "start_index": 0, "end_index": 1}]},
                {"type": "refusal", "refusal": "no"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{\"a\":1}",
             "namespace": "ns", "status": "completed"},
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "d", "name": "g", "input": "x"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed",
             "action": {"type": "search", "query": "q"}},
            {"type": "shell_call", "id": "sh_1", "call_id": "s", "action": {"commands": ["ls"], "timeout_ms": 5}},
            {"type": "apply_patch_call", "id": "p1", "call_id": "p", "operation": {"type": "delete_file", "path": "a"}},
            {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="},
            {"type": "local_shell_call", "id": "l1", "call_id": "l", "status": "completed",
             "action": {"type": "exec", "command": ["ls"], "env": {}}},
            {"type": "new_item", "id": "n", "what": {"a": [1]}},
        ],
        "usage": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14, "input_tokens_details": {
            "cached_tokens": 3, "cache_write_tokens": 1}, "output_tokens_details": {"reasoning_tokens": 2}},
    },
    "anthropic": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "refusal",
        "stop_sequence": None, "stop_details": {"type": "refusal", "category": "c", "explanation": "no"},
        "content": [
            {"type": "thinking", "thinking": "r", "signature": "s"}, {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "t", "citations": [{"type": "web_search_result_location", "url": "http://x",
                "title": "t", "cited_text": "x", "encrypted_index": "e"}]},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [
                {"type": "web_search_result", "title": "t", "url": "http://x", "encrypted_content": "e"}]},
            {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
            {"type": "new_block", "what": {"a": [1]}},
        ],
        "container": {"id": "k"}, "context_management": {"applied_edits": []},
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 1,
                  "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1},
                  "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2}},
    },
    "gemini": {
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "t", "thought": True}, {"text": "é", "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "i", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                {"inlineData": {"mimeType": "image/png", "data": "aGk="}}, {"executableCode": {"code": "1"}},
                {"codeExecutionResult": {"output": "1"}}, {"new": {"a": 1}}, {"text": "end"},
            ]},
            "finishReason": "STOP", "finishMessage": "m", "index": 0,
            "citationMetadata": {"citations": [{"uri": "u", "endIndex": 2}]},
            "groundingMetadata": {"groundingChunks": [{"web": {"uri": "u", "title": "t"}}], "groundingSupports": [
                {"segment": {"startIndex": 0, "endIndex": 1}, "groundingChunkIndices": [0]}]},
        }],
        "promptFeedback": {"blockReason": None}, "modelVersion": "m", "responseId": "r",
        "usageMetadata": {"promptTokenCount": 9, "cachedContentTokenCount": 3, "candidatesTokenCount": 3,
                          "thoughtsTokenCount": 2, "toolUsePromptTokenCount": 1, "totalTokenCount": 15},
    },
    "ollama": {
        "model": "m", "created_at": "2026-11-20T00:00:00Z", "done": True, "done_reason": "stop",
        "message": {"role": "assistant", "content": "t", "thinking": "r", "images": ["aGk="], "tool_calls": [
            {"id": "c", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}},
            {"function": {"name": "g", "arguments": "{}"}}]},
        "total_duration": 1, "load_duration": 1, "prompt_eval_count": 9, "prompt_eval_duration": 1, "eval_count": 5,
        "eval_duration": 1,
    },
}  # fmt: skip
