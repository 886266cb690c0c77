using System.Buffers;
using System.Text.Json;
using AiAspire.Core.Models;
using CsCheck;

namespace AiAspire.Unit.CoreTests.Wire;

public sealed class WriteUpstreamTests
{
    private const string Messages = """[{"role":"user","content":"h\u00e9 \/ 😀","x":1.50}]""";

    private static readonly string[] Policy = ["model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "n", "user", "service_tier"];

    /// <summary>Fields whose values are checked; the rest may hold anything.</summary>
    private static readonly Gen<(string Name, string Value)[]> Requests = Gen.Select(
        JsonTexts.Fields(3),
        Gen.Bool,
        Gen.OneOf<string?>(null, "null", "1", "100", "2147483647"),
        Gen.OneOf<string?>(null, "null", "1", "100", "2147483647"),
        Gen.OneOf<string?>(null, "null", "{}", """{"include_usage":false}""", """{"include_obfuscation":false,"x":[1.50]}""", """{"include_usage":true,"a":null}"""))
        .SelectMany(drawn =>
        {
            var (others, stream, maxTokens, maxCompletion, streamOptions) = drawn;
            var fields = others.Where(o => !Policy.Contains(o.Name)).ToList();
            fields.AddRange([("model", "\"caller's name\""), ("messages", Messages), ("temperature", "0.70"), ("stream", stream ? "true" : "false")]);
            if (maxTokens is not null)
                fields.Add(("max_tokens", maxTokens));
            if (maxCompletion is not null)
                fields.Add(("max_completion_tokens", maxCompletion));
            if (streamOptions is not null && (stream || streamOptions == "null"))
                fields.Add(("stream_options", streamOptions));
            return Gen.Shuffle(fields.ToArray());
        });

    [Fact]
    public void Whatever_is_not_policys_arrives_byte_for_byte()
        => Gen.Select(Requests, Gen.Int[1, 5000], Gen.OneOf("max_tokens", "max_completion_tokens")).Sample((fields, cap, capField) =>
        {
            var sent = Upstream("{" + string.Join(",", fields.Select(f => $"\"{f.Name}\":{f.Value}")) + "}", cap, capField);

            var names = sent.EnumerateObject().Select(p => p.Name).ToList();
            Assert.Equal(names.Distinct(), names);
            foreach (var (name, value) in fields)
            {
                switch (name)
                {
                    case "model":
                        Assert.Equal("upstream", sent.GetProperty("model").GetString());
                        break;
                    case "stream_options":
                        break;
                    case "max_tokens" or "max_completion_tokens" when value == "null":
                        Assert.True(!sent.TryGetProperty(name, out var absent) || (name == capField && absent.GetInt32() == cap));
                        break;
                    case "max_tokens" or "max_completion_tokens":
                        Assert.Equal(Math.Min(int.Parse(value), cap), sent.GetProperty(name).GetInt32());
                        break;
                    default:
                        Assert.Equal(value, sent.GetProperty(name).GetRawText());
                        break;
                }
            }

            var caps = new[] { "max_tokens", "max_completion_tokens" }.Where(n => sent.TryGetProperty(n, out _)).ToList();
            Assert.NotEmpty(caps);
            if (!fields.Any(f => f.Name is "max_tokens" or "max_completion_tokens" && f.Value != "null"))
                Assert.Equal([capField], caps);
            Assert.Empty(names.Except(fields.Select(f => f.Name)).Except([capField, "stream_options"]));
        });

    [Fact]
    public void A_stream_always_asks_for_the_usage_and_keeps_its_other_options()
        => Requests.Sample(fields =>
        {
            var sent = Upstream("{" + string.Join(",", fields.Select(f => $"\"{f.Name}\":{f.Value}")) + "}", 100);
            var streamed = fields.Any(f => f is ("stream", "true"));
            var given = fields.FirstOrDefault(f => f.Name == "stream_options").Value;
            if (!streamed)
            {
                Assert.Equal(given is not null, sent.TryGetProperty("stream_options", out _));
                return;
            }

            var options = sent.GetProperty("stream_options");
            Assert.True(options.GetProperty("include_usage").GetBoolean());
            Assert.Single(options.EnumerateObject(), p => p.Name == "include_usage");
            if (given is null or "null")
                return;
            foreach (var option in JsonElement.Parse(given).EnumerateObject().Where(o => o.Name != "include_usage"))
                Assert.Equal(option.Value.GetRawText(), options.GetProperty(option.Name).GetRawText());
        });

    [Theory]
    [InlineData("\"max_tokens\":10", "\"max_tokens\":10")]
    [InlineData("\"max_tokens\":500", "\"max_tokens\":100")]
    [InlineData("\"max_tokens\":500,\"max_completion_tokens\":7", "\"max_tokens\":100,\"max_completion_tokens\":7")]
    [InlineData("\"max_completion_tokens\":null", "\"max_completion_tokens\":100")]
    [InlineData("\"max_tokens\":null", "\"max_completion_tokens\":100")]
    public void The_cap_goes_upstream_once_and_never_above_what_was_reserved(string asked, string expected)
    {
        var sent = Upstream($"{{\"model\":\"m\",\"messages\":{Messages},{asked}}}", 100);

        Assert.EndsWith("," + expected + "}", sent.GetRawText(), StringComparison.Ordinal);
    }

    [Fact]
    public void Fields_that_hold_our_names_further_in_are_left_alone()
    {
        const string tools = """[{"type":"function","function":{"name":"f","parameters":{"max_tokens":99999,"model":"keep","stream_options":{}}}}]""";
        var sent = Upstream($$"""{"model":"m","messages":{{Messages}},"tools":{{tools}}}""", 100);

        Assert.Equal(tools, sent.GetProperty("tools").GetRawText());
    }

    [Theory]
    [InlineData("https://api.openai.com/v1", null, "", "false")]
    [InlineData("https://api.openai.com/v1", null, ",\"store\":null", "false")]
    [InlineData("https://api.openai.com/v1", null, ",\"store\":true", "true")]
    [InlineData("https://ours.openai.azure.com/openai/v1", null, "", "false")]
    [InlineData("https://api.openai.com/v1", false, "", null)]
    [InlineData("http://models.internal/v1", null, "", null)]
    [InlineData("http://models.internal/v1", null, ",\"store\":true", "true")]
    [InlineData("http://models.internal/v1", true, "", "false")]
    public void A_provider_that_knows_how_is_told_to_store_nothing_unless_the_caller_asks(string address, bool? knows, string field, string? sent)
    {
        var json = Upstream($$"""{"model":"m","messages":{{Messages}}{{field}}}""", 10, provider: new ProviderOptions { BaseAddress = new Uri(address), KnowsStore = knows });

        Assert.Equal(sent, json.TryGetProperty("store", out var store) ? store.GetRawText() : null);
    }

    private static JsonElement Upstream(string json, int cap, string capField = "max_completion_tokens", ProviderOptions? provider = null)
    {
        using var request = SampleCalls.Request(json);
        var buffer = new ArrayBufferWriter<byte>();
        request.WriteUpstream(buffer, "upstream", cap, provider ?? new ProviderOptions { MaxTokensField = capField });
        return JsonElement.Parse(buffer.WrittenSpan);
    }
}
