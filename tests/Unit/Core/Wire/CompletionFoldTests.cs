using System.Text;
using System.Text.Json;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Wire;

public sealed class CompletionFoldTests
{
    [Fact]
    public void A_stream_becomes_the_completion_it_would_have_been()
    {
        var whole = Fold(
            """{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}""",
            """{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m-1","choices":[{"index":0,"delta":{"content":"Hel","reasoning_content":"think"},"logprobs":{"content":[{"token":"Hel"}]},"finish_reason":null}]}""",
            """{"id":"c1","choices":[{"index":1,"delta":{"content":"Other"},"finish_reason":"length"}]}""",
            """{"id":"c1","choices":[{"index":0,"delta":{"content":"lo","reasoning_content":"ing"},"logprobs":{"content":[{"token":"lo"}]},"finish_reason":null}]}""",
            """{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}""",
            """{"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}""");

        Assert.Equal("chat.completion", whole.GetProperty("object").GetString());
        Assert.Equal(("c1", 7, "m-1"), (whole.GetProperty("id").GetString(), whole.GetProperty("created").GetInt32(), whole.GetProperty("model").GetString()));
        Assert.Equal(2, whole.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        var choices = whole.GetProperty("choices");
        Assert.Equal("""{"role":"assistant","content":"Hello","reasoning_content":"thinking"}""", choices[0].GetProperty("message").GetRawText());
        Assert.Equal(2, choices[0].GetProperty("logprobs").GetProperty("content").GetArrayLength());
        Assert.Equal("stop", choices[0].GetProperty("finish_reason").GetString());
        Assert.Equal(("Other", "length"), (choices[1].GetProperty("message").GetProperty("content").GetString(), choices[1].GetProperty("finish_reason").GetString()));
    }

    [Fact]
    public void Tool_calls_are_put_together_by_their_index()
    {
        var whole = Fold(
            """{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"find","arguments":""}}]}}]}""",
            """{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"send","arguments":"{}"}}]}}]}""",
            """{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}}]}""",
            """{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}]}""");

        var message = whole.GetProperty("choices")[0].GetProperty("message");
        Assert.Equal(JsonValueKind.Null, message.GetProperty("content").ValueKind);
        Assert.Equal(
            """[{"id":"a","type":"function","function":{"name":"find","arguments":"{\u0022x\u0022:1}"}},{"id":"b","type":"function","function":{"name":"send","arguments":"{}"}}]""",
            message.GetProperty("tool_calls").GetRawText());
    }

    private static JsonElement Fold(params string[] chunks)
    {
        var fold = new CompletionFold();
        foreach (var chunk in chunks)
            fold.Add(Encoding.UTF8.GetBytes(chunk));
        return JsonElement.Parse(fold.ToJson());
    }
}
