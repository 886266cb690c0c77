using System.Text;
using System.Text.Json;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using CsCheck;

namespace AiAspire.Unit.CoreTests.Wire;

public sealed class ReplyTallyTests
{
    private static readonly JsonSerializerOptions Escaped = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.Default };
    private static readonly JsonSerializerOptions Unescaped = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly ReplyTally _tally = new();

    [Fact]
    public void A_stream_is_read_event_by_event()
    {
        Assert.Equal(ChatEventKind.Chunk, Chunk("""{"id":"c-1","model":"m-2025","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"""));
        Assert.False(_tally.HasContent);
        Assert.Equal(ChatEventKind.Chunk, Chunk("""{"id":"other","model":"other","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}"""));
        Assert.Equal(ChatEventKind.Chunk, Chunk("""{"choices":[{"delta":{"content":"lo"},"index":0,"finish_reason":"stop"}]}"""));
        Assert.Null(_tally.Usage);
        Assert.Equal(ChatEventKind.UsageChunk, Chunk("""{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"""));

        Assert.Equal("Hello", Encoding.UTF8.GetString(_tally.Text));
        Assert.Equal(("c-1", "m-2025", "stop"), (_tally.ProviderResponseId, _tally.Model, _tally.FinishReason));
        Assert.Equal(new TokenUsage(9, 0, 0, 2, 0), _tally.Usage);
        Assert.Equal(5, _tally.DeliveredBytes);
    }

    [Fact]
    public void A_whole_reply_is_read_at_once()
    {
        var kind = _tally.Read(
            """{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"""u8,
            ChatEventKind.Completion);

        Assert.Equal(ChatEventKind.Completion, kind);
        Assert.Equal("Hi", Encoding.UTF8.GetString(_tally.Text));
        Assert.Equal("length", _tally.FinishReason);
        Assert.True(_tally.HasContent);
    }

    [Fact]
    public void A_completion_without_choices_is_no_usage_chunk()
        => Assert.Equal(ChatEventKind.Completion, _tally.Read("""{"choices":[],"usage":{"prompt_tokens":1}}"""u8, ChatEventKind.Completion));

    [Fact]
    public void A_chunk_with_choices_and_usage_is_a_chunk()
    {
        Assert.Equal(ChatEventKind.Chunk, Chunk("""{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"""));
        Assert.NotNull(_tally.Usage);
    }

    [Fact]
    public void Only_the_first_choice_is_text_but_all_count_as_delivered()
    {
        Chunk("""{"choices":[{"index":1,"delta":{"content":"bbbb"}},{"index":0,"delta":{"content":"a"}}]}""");

        Assert.Equal("a", Encoding.UTF8.GetString(_tally.Text));
        Assert.Equal(5, _tally.DeliveredBytes);
    }

    [Fact]
    public void A_tool_call_is_content_and_no_text()
    {
        Chunk("""{"choices":[{"index":0,"delta":{"content":null,"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}""");

        Assert.True(_tally.HasToolCall);
        Assert.True(_tally.HasContent);
        Assert.True(_tally.Text.IsEmpty);
        // The name and the arguments: what stands around them is not the model's.
        Assert.Equal(3, _tally.DeliveredBytes);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("null")]
    public void An_empty_list_of_tool_calls_is_no_content(string calls)
    {
        Chunk($$$"""{"choices":[{"index":0,"delta":{"role":"assistant","tool_calls":{{{calls}}}}}]}""");

        Assert.False(_tally.HasToolCall);
        Assert.False(_tally.HasContent);
        Assert.Equal(0, _tally.DeliveredBytes);
    }

    [Fact]
    public void A_refusal_is_the_text()
    {
        Chunk("""{"choices":[{"index":0,"delta":{"content":null,"refusal":"I cannot"}}]}""");

        Assert.Equal("I cannot", Encoding.UTF8.GetString(_tally.Text));
        Assert.True(_tally.HasContent);
    }

    [Fact]
    public void Escapes_become_the_characters_they_stand_for()
    {
        Chunk("""{"choices":[{"index":0,"delta":{"content":"\u00e9\ud83d\ude00\n\"\\"}}]}""");

        Assert.Equal("é😀\n\"\\", Encoding.UTF8.GetString(_tally.Text));
    }

    [Fact]
    public void An_error_object_is_seen_and_needs_no_choices()
    {
        Chunk("""{"error":{"message":"overloaded","type":"server_error","param":null,"code":null}}""");

        Assert.True(_tally.SawError);
        Assert.False(_tally.HasContent);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("not json")]
    [InlineData("{}")]
    [InlineData("""{"id":"x"}""")]
    [InlineData("""{"choices":null}""")]
    [InlineData("""{"choices":{}}""")]
    [InlineData("""{"choices":["a"]}""")]
    [InlineData("""{"choices":[{"index":0,"delta":{"content":"a"}""")]
    [InlineData("""{"choices":[{"index":"0","delta":{}}]}""")]
    [InlineData("""{"choices":[{"index":null,"delta":{}}]}""")]
    [InlineData("""{"choices":[{"index":1.5,"delta":{}}]}""")]
    [InlineData("""{"choices":[{"index":99999999999,"delta":{}}]}""")]
    [InlineData("""{"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}""")]
    [InlineData("""{"id":"\ud83d","choices":[]}""")]
    [InlineData("""{"choices":[]} {"choices":[]}""")]
    [InlineData("""{"choices":[]}x""")]
    [InlineData("""{"choices":[],}""")]
    public void What_is_no_event_is_a_json_exception(string json) => Assert.ThrowsAny<JsonException>(() => Chunk(json));

    [Fact]
    public void Whatever_arrives_it_is_read_or_a_json_exception()
        => Gen.Select(JsonTexts.Value(), JsonTexts.Value(), JsonTexts.Value()).Sample((a, b, c) =>
        {
            foreach (var json in new[] { a, $$"""{"id":{{a}},"model":{{b}},"choices":[{"index":{{c}},"delta":{"content":{{a}},"tool_calls":{{b}}},"finish_reason":{{c}}}],"usage":{{a}}}""", $$"""{"choices":{{a}},"usage":{"prompt_tokens":{{b}},"x":{{c}} } }""" })
            {
                var tally = new ReplyTally();
                try
                {
                    tally.Read(Encoding.UTF8.GetBytes(json), ChatEventKind.Chunk);
                }
                catch (JsonException)
                {
                    Assert.True(tally.DeliveredBytes >= 0);
                }
            }
        });

    [Fact]
    public void However_a_text_is_cut_into_chunks_its_parts_make_the_whole()
        => Gen.Select(Gen.OneOf(Gen.Char['a', 'z'].Select(c => c.ToString()), Gen.OneOf("é", "ß", "中", "😀", "\"", "\\", "\n", "</", "\u2028", "\0")).Array[0, 60], Gen.Int[1, 9], Gen.Bool)
            .Sample((runes, size, escaped) =>
            {
                var tally = new ReplyTally();
                foreach (var part in runes.Chunk(size))
                    tally.Read(Encoding.UTF8.GetBytes($$$"""{"choices":[{"index":0,"delta":{"content":{{{JsonSerializer.Serialize(string.Concat(part), escaped ? Escaped : Unescaped)}}}}}]}"""), ChatEventKind.Chunk);

                var text = string.Concat(runes);
                Assert.Equal(text, Encoding.UTF8.GetString(tally.Text));
                Assert.Equal(Encoding.UTF8.GetByteCount(text), tally.DeliveredBytes);
            });

    private ChatEventKind Chunk(string json) => _tally.Read(Encoding.UTF8.GetBytes(json), ChatEventKind.Chunk);
}
