using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Wire;

public sealed class EmbeddingReplyTests
{
    private static readonly string Base64 = Convert.ToBase64String([.. Vector(0.25f), .. Vector(-1.5f)]);

    [Fact]
    public void Both_encodings_of_a_vector_are_kept_as_the_same()
    {
        var read = EmbeddingReply.Read(Utf8($$"""{"object":"list","data":[{"index":1,"embedding":"{{Base64}}"},{"index":0,"embedding":[0.25,-1.5]}],"model":"m"}"""), 2)!.Value;

        Assert.Equal("m", read.Model);
        Assert.Equal(read.Vectors[0], read.Vectors[1]);
    }

    [Fact]
    public void What_is_kept_is_written_in_either_encoding()
    {
        byte[][] vectors = [[.. Vector(0.25f), .. Vector(-1.5f)]];
        var numbers = JsonElement.Parse(EmbeddingReply.Write(vectors, "m", base64: false, tokens: 3).Span);
        var text = JsonElement.Parse(EmbeddingReply.Write(vectors, "m", base64: true, tokens: 3).Span);

        Assert.Equal([0.25, -1.5], numbers.GetProperty("data")[0].GetProperty("embedding").EnumerateArray().Select(n => n.GetDouble()));
        Assert.Equal(Base64, text.GetProperty("data")[0].GetProperty("embedding").GetString());
        Assert.Equal((3, "m"), (numbers.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), numbers.GetProperty("model").GetString()));
    }

    [Theory]
    [InlineData("""{"data":[{"index":0,"embedding":[1]}]}""")]
    [InlineData("""{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}""")]
    [InlineData("""{"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[1]}]}""")]
    [InlineData("""{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[]}]}""")]
    [InlineData("""{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":["a"]}]}""")]
    [InlineData("""{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"AAA="}]}""")]
    [InlineData("""{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"AADAfw=="}]}""")] // Not a number.
    public void What_is_no_vector_for_each_item_is_not_read(string json) => Assert.Null(EmbeddingReply.Read(Utf8(json), 2));

    [Fact]
    public void A_request_for_some_of_its_items_is_otherwise_the_same()
    {
        using var request = SampleCalls.Embedding("""{"model":"m","input":["a","b\u0063","d"],"dimensions":3,"encoding_format":"base64","new_field":1.50}""");
        using var some = request.Only([2, 1]);

        Assert.Equal("""{"model":"m","dimensions":3,"encoding_format":"base64","new_field":1.50,"input":["d","b\u0063"]}""", some.Json.GetRawText());
        Assert.Equal((2, true), (some.Items, some.Base64));
    }

    [Theory]
    [InlineData("\"a\"", 1)]
    [InlineData("[1,2]", 1)]
    [InlineData("[[1,2],[3]]", 2)]
    [InlineData("[\"a\",\"b\",\"c\"]", 3)]
    public void Each_item_is_a_text_or_a_token_array(string input, int items)
    {
        using var request = SampleCalls.Embedding($$"""{"model":"m","input":{{input}}}""");
        Assert.Equal(items, request.Each.Count);
        Assert.Equal(request.Items, request.Each.Count);
    }

    private static byte[] Vector(float value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
        return bytes;
    }

    private static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);
}
