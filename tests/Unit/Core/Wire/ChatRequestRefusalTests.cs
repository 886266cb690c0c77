using System.Text;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Wire;

public sealed class ChatRequestRefusalTests
{
    private const string Messages = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";

    [Theory]
    [InlineData("""{}""", "model", "missing_required_parameter")]
    [InlineData("""{"model":null}""", "model", "missing_required_parameter")]
    [InlineData("""{"model":""}""", "model", "missing_required_parameter")]
    [InlineData("""{"model":" \t"}""", "model", "missing_required_parameter")]
    [InlineData("""{"model":7}""", "model", "invalid_type")]
    [InlineData("""{"model":["m"]}""", "model", "invalid_type")]
    [InlineData("""{"model":"m"}""", "messages", "missing_required_parameter")]
    [InlineData("""{"model":"m","messages":null}""", "messages", "invalid_type")]
    [InlineData("""{"model":"m","messages":{}}""", "messages", "invalid_type")]
    [InlineData("""{"model":"m","messages":"hi"}""", "messages", "invalid_type")]
    [InlineData("""{"model":"m","messages":[]}""", "messages", "empty_array")]
    [InlineData("""{"model":"m","messages":["hi"]}""", "messages[0]", "invalid_type")]
    [InlineData("""{"model":"m","messages":[{"role":"user","content":"a"},null]}""", "messages[1]", "invalid_type")]
    [InlineData("""{"model":"m","messages":[{"content":"a"}]}""", "messages[0].role", "missing_required_parameter")]
    [InlineData("""{"model":"m","messages":[{"role":null}]}""", "messages[0].role", "missing_required_parameter")]
    [InlineData("""{"model":"m","messages":[{"role":1}]}""", "messages[0].role", "missing_required_parameter")]
    [InlineData("""{"model":"m","messages":[{"role":"User"}]}""", "messages[0].role", "invalid_value")]
    [InlineData("""{"model":"m","messages":[{"role":"user","content":"a"},{"role":"root","content":"a"}]}""", "messages[1].role", "invalid_value")]
    [InlineData("""{"model":"m","messages":[{"role":"user","content":1}]}""", "messages[0].content", "invalid_type")]
    [InlineData("""{"model":"m","messages":[{"role":"user","content":{"text":"a"}}]}""", "messages[0].content", "invalid_type")]
    [InlineData("""{"model":"m","messages":[{"role":"user","content":true}]}""", "messages[0].content", "invalid_type")]
    public void A_bad_model_or_message_is_refused_by_name(string json, string param, string code) => AssertRefused(json, param, code);

    [Theory]
    [InlineData("\"temperature\":\"hot\"", "temperature", "invalid_type")]
    [InlineData("\"service_tier\":\"priority\"", "service_tier", "unsupported_value")]
    [InlineData("\"service_tier\":1", "service_tier", "invalid_type")]
    [InlineData("\"temperature\":-0.01", "temperature", "invalid_value")]
    [InlineData("\"temperature\":2.01", "temperature", "invalid_value")]
    [InlineData("\"temperature\":1e999", "temperature", "invalid_value")]
    [InlineData("\"top_p\":1.0000001", "top_p", "invalid_value")]
    [InlineData("\"top_p\":[1]", "top_p", "invalid_type")]
    [InlineData("\"presence_penalty\":-2.1", "presence_penalty", "invalid_value")]
    [InlineData("\"frequency_penalty\":3", "frequency_penalty", "invalid_value")]
    [InlineData("\"top_logprobs\":21", "top_logprobs", "invalid_value")]
    [InlineData("\"top_logprobs\":1.5", "top_logprobs", "invalid_type")]
    [InlineData("\"n\":0", "n", "invalid_value")]
    [InlineData("\"n\":129", "n", "invalid_value")]
    [InlineData("\"n\":-1", "n", "invalid_value")]
    [InlineData("\"n\":99999999999999999999", "n", "invalid_type")]
    [InlineData("\"n\":\"2\"", "n", "invalid_type")]
    [InlineData("\"max_tokens\":0", "max_tokens", "invalid_value")]
    [InlineData("\"max_tokens\":-5", "max_tokens", "invalid_value")]
    [InlineData("\"max_tokens\":1.5", "max_tokens", "invalid_type")]
    [InlineData("\"max_tokens\":1e400", "max_tokens", "invalid_type")]
    [InlineData("\"max_tokens\":2147483648", "max_tokens", "invalid_type")]
    [InlineData("\"max_tokens\":true", "max_tokens", "invalid_type")]
    [InlineData("\"max_completion_tokens\":0", "max_completion_tokens", "invalid_value")]
    [InlineData("\"max_completion_tokens\":\"100\"", "max_completion_tokens", "invalid_type")]
    [InlineData("\"stream\":1", "stream", "invalid_type")]
    [InlineData("\"stream\":\"true\"", "stream", "invalid_type")]
    [InlineData("\"stream_options\":{}", "stream_options", null)]
    [InlineData("\"stream\":false,\"stream_options\":{\"include_usage\":true}", "stream_options", null)]
    [InlineData("\"stream\":true,\"stream_options\":[]", "stream_options", "invalid_type")]
    [InlineData("\"stream\":true,\"stream_options\":{\"include_usage\":1}", "stream_options.include_usage", "invalid_type")]
    [InlineData("\"user\":5", "user", "invalid_type")]
    [InlineData("\"user\":{}", "user", "invalid_type")]
    public void A_bad_option_is_refused_by_name(string field, string param, string? code)
        => AssertRefused($"{{\"model\":\"m\",{Messages},{field}}}", param, code);

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("\"text\"")]
    [InlineData("7")]
    [InlineData("{\"model\":\"m\",")]
    [InlineData("{\"model\":\"m\"} trailing")]
    [InlineData("{\"model\":\"m\",}")]
    [InlineData("{\"model\":NaN}")]
    [InlineData("// comment\n{}")]
    [InlineData("\uFEFF{}")]
    [InlineData("{'model':'m'}")]
    public void What_is_no_json_object_is_refused(string body) => AssertRefused(body, null, null, anyCode: true);

    [Theory]
    [InlineData("\"model\":\"m\",\"model\":\"x\"," + Messages)]
    [InlineData("\"model\":\"m\"," + Messages + "," + Messages)]
    [InlineData("\"model\":\"m\",\"n\":128,\"n\":1," + Messages)]
    [InlineData("\"model\":\"m\",\"max_tokens\":1e99,\"max_tokens\":5," + Messages)]
    [InlineData("\"model\":\"m\",\"\\u006e\":128,\"n\":1," + Messages)]
    [InlineData("\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"harmless\",\"content\":\"harmful\"}]")]
    public void A_field_given_twice_is_refused_for_the_provider_may_read_the_other(string fields) => AssertRefused("{" + fields + "}", null, "invalid_json");

    [Theory]
    [InlineData("model", "\\ud83d")]
    [InlineData("user", "\\uDE00x")]
    [InlineData("other", "a\\ud83d\\u0041")]
    [InlineData("other\\udfff", "a")]
    public void Half_a_surrogate_pair_is_refused(string name, string value)
        => AssertRefused($"{{\"model\":\"m\",{Messages},\"{name}\":\"{value}\"}}".Replace("\"model\":\"m\"," + Messages + ",\"model\"", Messages + ",\"model\"", StringComparison.Ordinal), null, "invalid_json");

    [Fact]
    public void Half_a_surrogate_pair_within_a_message_is_refused()
        => AssertRefused("""{"model":"m","messages":[{"role":"user","content":"\ud83d"}]}""", null, "invalid_json");

    [Fact]
    public void A_whole_surrogate_pair_and_an_escaped_backslash_are_text()
    {
        using var request = SampleCalls.Request("""{"model":"m","messages":[{"role":"user","content":"\ud83d\uDE00 \\ud83d"}]}""");

        Assert.Equal("\U0001F600 \\ud83d", request.Messages[0].GetProperty("content").GetString());
    }

    [Theory]
    [InlineData(0xFF)]
    [InlineData(0x80)]
    [InlineData(0xC0)]
    [InlineData(0xED)] // Begins an encoded surrogate.
    public void Broken_utf8_is_refused_wherever_it_stands(byte broken)
    {
        var body = Encoding.UTF8.GetBytes("""{"model":"m","messages":[{"role":"user","content":"#"}],"user":"x"}""");
        body[Array.IndexOf(body, (byte)'#')] = broken;

        var refusal = Assert.Throws<WireException>(() => ChatRequest.Parse(body));

        Assert.Equal((400, "invalid_json"), (refusal.Status, refusal.Code));
    }

    [Fact]
    public void Nesting_beyond_what_a_stack_can_take_is_refused()
    {
        var deep = string.Concat(Enumerable.Repeat("[", 100_000));
        AssertRefused($"{{\"model\":\"m\",{Messages},\"x\":{deep}", null, "invalid_json");
        AssertRefused($"{{\"model\":\"m\",{Messages},\"x\":{new string('[', 80)}{new string(']', 80)}}}", null, "invalid_json");
    }

    private static void AssertRefused(string json, string? param, string? code, bool anyCode = false)
    {
        var refusal = Assert.Throws<WireException>(() => ChatRequest.Parse(Encoding.UTF8.GetBytes(json)));

        Assert.Equal(400, refusal.Status);
        Assert.Equal("invalid_request_error", refusal.Type);
        Assert.Equal(param, refusal.Param);
        if (!anyCode)
            Assert.Equal(code, refusal.Code);
    }
}
