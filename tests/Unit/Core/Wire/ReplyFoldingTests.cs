using System.Text;
using System.Text.Json.Nodes;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Wire;

public sealed class ReplyFoldingTests
{
    private const string Completion =
        """
        {"id":"c1","object":"chat.completion","created":1,"model":"m-2026","system_fingerprint":"fp","choices":[
          {"index":0,"message":{"role":"assistant","content":"Grüße 🦊","refusal":null},"logprobs":{"content":[{"token":"Gr","logprob":-0.1}]},"finish_reason":"stop"},
          {"index":1,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"t2","type":"function","function":{"name":"g","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],
         "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}
        """;

    [Fact]
    public void What_is_unfolded_folds_to_itself()
    {
        var chunks = ReplyFolding.Unfold(Encoding.UTF8.GetBytes(Completion));

        var expected = JsonNode.Parse(Completion)!;
        Assert.Equal([ChatEventKind.Chunk, ChatEventKind.Chunk, ChatEventKind.Chunk, ChatEventKind.Chunk, ChatEventKind.UsageChunk], chunks.Select(c => c.Kind));
        Assert.All(chunks, c => Assert.Equal("chat.completion.chunk", (string?)JsonNode.Parse(c.Json.Span)!["object"]));
        var folded = JsonNode.Parse(ReplyFolding.Fold(chunks.Select(c => c.Json)))!;
        Assert.True(JsonNode.DeepEquals(expected, folded), folded.ToJsonString());
    }

    [Fact]
    public void A_tools_arguments_that_are_no_text_fold_to_their_text()
    {
        const string Chunk =
            """{"id":"c","object":"chat.completion.chunk","created":2,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":{"a":[1]}}}]},"finish_reason":"tool_calls"}]}""";

        var folded = JsonNode.Parse(ReplyFolding.Fold([Encoding.UTF8.GetBytes(Chunk)]))!;

        Assert.Equal("{\"a\":[1]}", (string?)folded["choices"]![0]!["message"]!["tool_calls"]![0]!["function"]!["arguments"]);
    }

    [Fact]
    public void Chunks_as_openai_sends_them_fold_to_the_completion_that_they_spell()
    {
        string[] chunks =
        [
            """{"id":"c","object":"chat.completion.chunk","created":2,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}""",
            """{"id":"c","object":"chat.completion.chunk","created":2,"model":"m","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}],"usage":null}""",
            """{"id":"c","object":"chat.completion.chunk","created":2,"model":"m","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}],"usage":null}""",
            """{"id":"c","object":"chat.completion.chunk","created":2,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}],"usage":null}""",
            """{"id":"c","object":"chat.completion.chunk","created":2,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]},"finish_reason":null}],"usage":null}""",
            """{"id":"c","object":"chat.completion.chunk","created":2,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":null}],"usage":null}""",
            """{"id":"c","object":"chat.completion.chunk","created":2,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":null}""",
            """{"id":"c","object":"chat.completion.chunk","created":2,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}""",
        ];

        var folded = JsonNode.Parse(ReplyFolding.Fold(chunks.Select(c => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(c))))!;

        var expected = JsonNode.Parse(
            """
            {"id":"c","object":"chat.completion","created":2,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,
             "tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],
             "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}
            """);
        Assert.True(JsonNode.DeepEquals(expected, folded), folded.ToJsonString());
    }

    [Fact]
    public void What_is_no_reply_is_said_to_be_none()
    {
        Assert.Throws<System.Text.Json.JsonException>(() => ReplyFolding.Fold([]));
        Assert.Throws<System.Text.Json.JsonException>(() => ReplyFolding.Unfold("""{"error":{}}"""u8.ToArray()));
    }
}
