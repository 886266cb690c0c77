using System.Buffers;
using System.Text;
using System.Text.Json;
using AiAspire.Api.Chat;
using AiAspire.Core.Wire;
using AiAspire.Unit.CoreTests.Wire;
using CsCheck;

namespace AiAspire.Unit.ApiTests;

public sealed class ChatSseTests
{
    [Theory]
    [InlineData("""{"id":"c","choices":[],"usage":null}""", """{"id":"c","choices":[]}""")]
    [InlineData("""{"id":"c","usage":null,"choices":[]}""", """{"id":"c","choices":[]}""")]
    [InlineData("""{"usage":null,"id":"c"}""", """{"id":"c"}""")]
    [InlineData("""{ "usage" : null , "id":"c"}""", """{ "id":"c"}""")]
    [InlineData("""{"usage":null}""", "{}")]
    [InlineData("""{"id":"c" , "usage": null }""", """{"id":"c" }""")]
    [InlineData("""{"id":"c","usage":{"prompt_tokens":1,"d":{"usage":2}},"choices":[{}]}""", """{"id":"c","choices":[{}]}""")]
    [InlineData("""{"choices":[{"usage":null,"delta":{"content":",\"usage\":null"}}]}""", """{"choices":[{"usage":null,"delta":{"content":",\"usage\":null"}}]}""")]
    [InlineData("""{"choices":[{"delta":{"content":"usage"}}],"service_tier":"usage"}""", """{"choices":[{"delta":{"content":"usage"}}],"service_tier":"usage"}""")]
    public void Who_did_not_ask_sees_no_usage_and_all_the_rest(string sent, string expected) => Assert.Equal($"data: {expected}\n\n", Write(sent, includeUsage: false));

    [Theory]
    [InlineData("""{"id":"c","choices":[]}""", """{"id":"c","choices":[],"usage":null}""")]
    [InlineData("""{"choices":[{"usage":1,"delta":{"content":"}"}}] } """, """{"choices":[{"usage":1,"delta":{"content":"}"}}] ,"usage":null}""")]
    [InlineData("""{"usage":null,"choices":[]}""", """{"usage":null,"choices":[]}""")]
    public void Who_asked_sees_it_null_until_it_is_known(string sent, string expected) => Assert.Equal($"data: {expected}\n\n", Write(sent, includeUsage: true));

    [Fact]
    public void The_rest_of_an_event_is_never_touched()
        => Gen.Select(JsonTexts.Fields(3), JsonTexts.Value(2), Gen.Int[0, 4]).Sample((others, usage, place) =>
        {
            var fields = others.Where(o => o.Name != "usage").Select(f => $"\"{f.Name}\":{f.Value}").ToList();
            var without = "{" + string.Join(",", fields) + "}";
            fields.Insert(Math.Min(place, fields.Count), $"\"usage\":{usage}");
            var with = "{" + string.Join(",", fields) + "}";

            Assert.Equal($"data: {without}\n\n", Write(with, includeUsage: false));
            Assert.Equal($"data: {with}\n\n", Write(with, includeUsage: true));
        });

    [Fact]
    public void The_chunk_of_the_usage_is_for_those_who_asked()
    {
        const string json = """{"choices":[],"usage":{"prompt_tokens":1}}""";

        Assert.Equal("", Write(json, includeUsage: false, ChatEventKind.UsageChunk));
        Assert.Equal($"data: {json}\n\n", Write(json, includeUsage: true, ChatEventKind.UsageChunk));
    }

    [Fact]
    public void The_end_and_an_error_are_framed_as_openai_frames_them()
    {
        var buffer = new ArrayBufferWriter<byte>();
        ChatSse.WriteError(buffer, new WireException(502, "server_error", "provider_cut", "Two\nlines"));
        ChatSse.WriteDone(buffer);

        var text = Encoding.UTF8.GetString(buffer.WrittenSpan);
        Assert.EndsWith("\n\ndata: [DONE]\n\n", text, StringComparison.Ordinal);
        var data = text.Split("\n\n")[0];
        Assert.DoesNotContain('\n', data);
        Assert.Equal("Two\nlines", JsonElement.Parse(data["data: ".Length..]).GetProperty("error").GetProperty("message").GetString());
    }

    private static string Write(string json, bool includeUsage, ChatEventKind kind = ChatEventKind.Chunk)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var wrote = ChatSse.WriteEvent(buffer, new ChatEvent(kind, Encoding.UTF8.GetBytes(json)), includeUsage);
        Assert.Equal(wrote, buffer.WrittenCount > 0);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
