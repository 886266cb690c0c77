using System.Buffers;
using System.Text;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Wire;

public sealed class ModerationRequestTests
{
    [Theory]
    [InlineData("\"one text\"", 1)]
    [InlineData("\"\"", 1)]
    [InlineData("""["one","two"]""", 2)]
    [InlineData("""[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://a.test/b.png"}}]""", 0)]
    public void Each_form_of_input_gets_so_many_verdicts(string input, int items)
    {
        using var request = SampleCalls.Moderation($$"""{"model":"m","input":{{input}}}""");

        Assert.Equal(items, request.Items);
    }

    [Theory]
    [InlineData("""{"model":"m"}""", "input", "missing_required_parameter")]
    [InlineData("""{"input":"x"}""", "model", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":[]}""", "input", "empty_array")]
    [InlineData("""{"model":"m","input":1}""", "input", "invalid_type")]
    [InlineData("""{"model":"m","input":["a",1]}""", "input[1]", "invalid_type")]
    [InlineData("""{"model":"m","input":[{"type":"text","text":"a"},"b"]}""", "input[1]", "invalid_type")]
    [InlineData("""{"model":"m","input":[{"text":"a"}]}""", "input[0].type", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":[{"type":"text"}]}""", "input[0].text", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":[{"type":"image_url","image_url":{}}]}""", "input[0].image_url.url", "missing_required_parameter")]
    [InlineData("""{"model":"m","input":[{"type":"audio"}]}""", "input[0].type", "invalid_value")]
    public void What_makes_no_sense_is_refused_by_the_field(string json, string param, string code)
    {
        var refusal = Assert.Throws<WireException>(() => SampleCalls.Moderation(json));

        Assert.Equal((400, param, code), (refusal.Status, refusal.Param, refusal.Code));
    }

    [Fact]
    public void Without_a_model_the_default_is_asked_and_sent()
    {
        using var request = SampleCalls.Moderation("""{"input":"x"}""", "first");
        var sent = new ArrayBufferWriter<byte>();
        request.WriteUpstream(sent, "theirs", 0, new ProviderOptions());

        Assert.Equal("first", request.Model);
        Assert.Equal("""{"model":"theirs","input":"x"}""", Encoding.UTF8.GetString(sent.WrittenSpan));
    }
}
