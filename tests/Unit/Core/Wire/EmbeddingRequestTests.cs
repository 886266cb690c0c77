using System.Buffers;
using System.Text;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Wire;

public sealed class EmbeddingRequestTests
{
    [Theory]
    [InlineData("\"one text\"", 1)]
    [InlineData("""["one","two","three"]""", 3)]
    [InlineData("[1,2,3]", 1)]
    [InlineData("[[1,2],[3]]", 2)]
    public void Each_form_of_input_is_so_many_items(string input, int items)
    {
        using var request = SampleCalls.Embedding($$"""{"model":"m","input":{{input}}}""");

        Assert.Equal(items, request.Items);
        Assert.Equal((ModelKind.Embedding, false, 1, null as int?), (request.Kind, request.Stream, request.Choices, request.MaxOutputTokens));
    }

    [Theory]
    [InlineData("""{"model":"m"}""", "input", "missing_required_parameter")]
    [InlineData("""{"input":"x"}""", "model", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":""}""", "input", "empty_string")]
    [InlineData("""{"model":"m","input":["a",""]}""", "input[1]", "empty_string")]
    [InlineData("""{"model":"m","input":[]}""", "input", "empty_array")]
    [InlineData("""{"model":"m","input":[[]]}""", "input[0]", "empty_array")]
    [InlineData("""{"model":"m","input":["a",[1]]}""", "input[1]", "invalid_type")]
    [InlineData("""{"model":"m","input":[1,"a"]}""", "input", "invalid_type")]
    [InlineData("""{"model":"m","input":[1.5]}""", "input", "invalid_type")]
    [InlineData("""{"model":"m","input":[-1]}""", "input", "invalid_type")]
    [InlineData("""{"model":"m","input":null}""", "input", "invalid_type")]
    [InlineData("""{"model":"m","input":{"text":"x"}}""", "input", "invalid_type")]
    [InlineData("""{"model":"m","input":[{"text":"x"}]}""", "input", "invalid_type")]
    [InlineData("""{"model":"m","input":"x","encoding_format":"int8"}""", "encoding_format", "invalid_value")]
    [InlineData("""{"model":"m","input":"x","dimensions":0}""", "dimensions", "invalid_value")]
    [InlineData("""{"model":"m","input":"x","dimensions":"many"}""", "dimensions", "invalid_type")]
    [InlineData("""{"model":"m","input":"x","user":1}""", "user", "invalid_type")]
    [InlineData("""["x"]""", null, null)]
    [InlineData("", null, null)]
    [InlineData("{", null, "invalid_json")]
    public void What_makes_no_sense_is_refused_by_the_field(string json, string? param, string? code)
    {
        var refusal = Assert.Throws<WireException>(() => SampleCalls.Embedding(json));

        Assert.Equal((400, "invalid_request_error", param, code), (refusal.Status, refusal.Type, refusal.Param, refusal.Code));
    }

    [Fact]
    public void Up_to_2048_items_and_no_more()
    {
        static string Json(int count) => $$"""{"model":"m","input":[{{string.Join(',', Enumerable.Repeat("\"a\"", count))}}]}""";
        using var most = SampleCalls.Embedding(Json(2048));

        Assert.Equal(2048, most.Items);
        Assert.Equal("array_above_max_length", Assert.Throws<WireException>(() => SampleCalls.Embedding(Json(2049))).Code);
        // The number of tokens in an array is the model's matter.
        using var tokens = SampleCalls.Embedding($$"""{"model":"m","input":[{{string.Join(',', Enumerable.Repeat("1", 3000))}}]}""");
        Assert.Equal((1, 3000), (tokens.Items, tokens.EstimateInput()));
    }

    [Fact]
    public void Only_the_models_name_changes_on_the_way_upstream()
    {
        using var request = SampleCalls.Embedding("""{"input":["h\u00e9 \/ 😀"],"x":1.50,"model":"m","encoding_format":"base64","dimensions":8}""");
        var sent = new ArrayBufferWriter<byte>();
        request.WriteUpstream(sent, "theirs", 0, new ProviderOptions());

        Assert.Equal("""{"model":"theirs","input":["h\u00e9 \/ 😀"],"x":1.50,"encoding_format":"base64","dimensions":8}""", Encoding.UTF8.GetString(sent.WrittenSpan));
    }

    /// <summary>A reservation that is short of the bill lets calls through that the limit should stop.</summary>
    [Theory]
    [InlineData("\"Say hello to the world, please.\"")]
    [InlineData("""["a","b","c","d"]""")]
    [InlineData("""["if (x[0] == 42) { return; }","1234567890"]""")]
    [InlineData("""["数据库备份","Grüße aus Köln"]""")]
    [InlineData("[5,6,7]")]
    public void The_estimate_is_no_less_than_the_count(string input)
    {
        using var request = SampleCalls.Embedding($$"""{"model":"m","input":{{input}}}""");

        Assert.True(request.EstimateInput() >= request.CountInput(new TokenCounter()), $"{request.EstimateInput()} < {request.CountInput(new TokenCounter())}");
    }
}
