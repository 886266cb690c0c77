using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.CoreTests.Routing;

public sealed class AdmitStepTests : IDisposable
{
    private readonly FakeTimeProvider _time = SampleCalls.Time();
    private readonly FakeProviders _providers;
    private readonly PriceBook _prices;

    public AdmitStepTests()
    {
        _providers = new FakeProviders(_time);
        _prices = new PriceBook(null!, _time);
        _prices.Hold([SampleCalls.Price("one", 1, 1), SampleCalls.Price("two", 1, 1), SampleCalls.Price("one", 1, 0, model: "embedder"), SampleCalls.Price("one", 1, 1, model: "leaving")]);
    }

    public void Dispose() => _providers.Dispose();

    [Fact]
    public async Task The_route_is_every_priced_target_that_can_carry_the_request()
    {
        var call = await AdmitAsync("""{"model":"both","messages":[{"role":"user","content":"a"}]}""");

        Assert.Equal(["one", "two"], call.Route.Select(t => t.Target.Provider));
        Assert.True(call.EstimatedInput > 0);
    }

    [Fact]
    public async Task A_field_that_a_target_cannot_carry_takes_that_target_out()
    {
        var call = await AdmitAsync("""{"model":"both","messages":[{"role":"user","content":"a"}],"logit_bias":{"1":2}}""");

        Assert.Equal("one", Assert.Single(call.Route).Target.Provider);
    }

    [Theory]
    [InlineData("\"logit_bias\":{\"50256\":-100}", "logit_bias")]
    [InlineData("\"modalities\":[\"text\",\"audio\"]", "modalities")]
    [InlineData("\"n\":2", "n")]
    [InlineData("\"x-vendor\":1", "x-vendor")]
    public async Task When_no_target_remains_the_field_is_named(string field, string param)
    {
        var refusal = await RefusedAsync($"{{\"model\":\"two-model\",\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}}],{field}}}");

        Assert.Equal((400, "unsupported_parameter", param), (refusal.Status, refusal.Code, refusal.Param));
    }

    [Theory]
    [InlineData("\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[]}}", "tool_choice")]
    [InlineData("\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}", "tool_choice")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}]", "tools[1]")]
    [InlineData("\"temperature\":1.5", "temperature")]
    [InlineData("\"response_format\":{\"type\":\"json_object\"}", "response_format")]
    [InlineData("\"response_format\":{\"type\":\"grammar\"}", "response_format")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\"}}", "response_format.json_schema.schema")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\",\"schema\":{\"anyOf\":[]}}}", "response_format.json_schema.schema")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\",\"schema\":{\"properties\":{}}}}", "response_format.json_schema.schema")]
    [InlineData("\"functions\":[{\"name\":\"f\"}]", "functions")]
    [InlineData("\"function_call\":\"auto\"", "function_call")]
    [Trait("Checklist", "PROV-02")]
    public async Task What_another_wire_cannot_be_told_takes_its_target_out_and_is_named_with_a_remedy_when_none_is_left(string field, string param)
        => await TakenOutAsync("""{"role":"user","content":"a"}""", field, param);

    [Theory]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"custom","custom":{"name":"c","input":"x"}}]}""", "messages[0].tool_calls[0]")]
    [InlineData("""{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}""", "messages[0].function_call")]
    [InlineData("""{"role":"function","name":"f","content":"r"}""", "messages[0].role")]
    [InlineData("""{"role":"assistant","audio":{"id":"a"}}""", "messages[0].audio")]
    [InlineData("""{"role":"tool","tool_call_id":"1","content":[{"type":"image_url","image_url":{"url":"https://x.test/a.png"}}]}""", "messages[0].content[0]")]
    [Trait("Checklist", "PROV-02")]
    public async Task A_message_that_another_wire_has_no_words_for_takes_its_target_out(string message, string param) => await TakenOutAsync(message, "\"n\":1", param);

    [Theory]
    [InlineData("\"temperature\":1")]
    [InlineData("\"parallel_tool_calls\":false")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true}}],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\",\"schema\":{\"type\":\"object\",\"properties\":{},\"required\":[]}}}")]
    [InlineData("\"response_format\":{\"type\":\"text\"}")]
    [InlineData("\"functions\":null,\"function_call\":null")]
    public async Task What_another_wire_can_be_told_or_need_not_hear_takes_no_target_out(string field)
    {
        var call = await AdmitAsync(
            $$$"""{"model":"both","messages":[{"role":"user","name":"alice","content":[{"type":"image_url","image_url":{"url":"https://x.test/a.png","detail":"low"}}]},{"role":"assistant","content":"b","audio":null,"function_call":null,"refusal":null}],{{{field}}} }""");

        Assert.Equal(["one", "two"], call.Route.Select(t => t.Target.Provider));
    }

    [Fact]
    public async Task A_value_that_asks_for_nothing_takes_no_target_out()
    {
        var call = await AdmitAsync(
            """{"model":"two-model","messages":[{"role":"user","content":"a"}],"logit_bias":{},"service_tier":"auto","modalities":["text"],"n":1,"logprobs":false,"seed":null}""");

        Assert.Equal("two", Assert.Single(call.Route).Target.Provider);
    }

    [Theory]
    [InlineData("{\"type\":7}", "messages[0].content[1]")]
    [InlineData("\"bare\"", "messages[0].content[1]")]
    [InlineData("{\"type\":\"input_audio\"}", "messages[0].content[1]")]
    public async Task A_content_part_that_no_target_takes_is_named(string part, string param)
    {
        var refusal = await RefusedAsync($"{{\"model\":\"two-model\",\"messages\":[{{\"role\":\"user\",\"content\":[{{\"type\":\"text\",\"text\":\"a\"}},{part}]}}]}}");

        Assert.Equal((400, param), (refusal.Status, refusal.Param));
    }

    [Theory]
    [InlineData("nothing")]
    [InlineData("one-model")] // There, but not in the tier.
    [Trait("Checklist", "AUTH-08")]
    public async Task Not_there_and_not_allowed_look_the_same(string model)
    {
        var refusal = await RefusedAsync(
            $"{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}}]}}", SampleCalls.Unlimited with { Models = ["two-*"] });

        Assert.Equal((404, "model_not_found", "model"), (refusal.Status, refusal.Code, refusal.Param));
        Assert.Equal(WireException.ModelNotFound(model).Message, refusal.Message);
    }

    [Fact]
    [Trait("Checklist", "AUTH-08")]
    public async Task A_feature_outside_the_tier_is_refused()
    {
        var refusal = await RefusedAsync("""{"model":"both","messages":[{"role":"user","content":"a"}]}""", SampleCalls.Unlimited with { Features = ["search"] });

        Assert.Equal((403, "feature_not_in_tier"), (refusal.Status, refusal.Code));
    }

    [Fact]
    public async Task Without_a_price_a_model_is_refused_and_never_free()
    {
        _prices.Hold([]);

        Assert.Equal((503, "price_unknown"), await Status("""{"model":"one-model","messages":[{"role":"user","content":"a"}]}"""));
    }

    [Fact]
    public async Task A_model_on_its_way_out_is_served_and_told_of()
    {
        var call = await AdmitAsync("""{"model":"leaving","messages":[{"role":"user","content":"a"}]}""");

        Assert.Equal((SampleCalls.Now.AddDays(-1), SampleCalls.Now.AddDays(1), "one-model"), (call.Deprecation!.Since, call.Deprecation.Sunset, call.Deprecation.Replacement));
        Assert.Null((await AdmitAsync("""{"model":"one-model","messages":[{"role":"user","content":"a"}]}""")).Deprecation);
    }

    [Fact]
    public async Task After_its_sunset_a_model_is_refused_and_its_replacement_named_while_an_alias_goes_on()
    {
        _time.Advance(TimeSpan.FromDays(1));
        var refusal = await RefusedAsync("""{"model":"leaving","messages":[{"role":"user","content":"a"}]}""");

        Assert.Equal((404, "model_not_found", "model"), (refusal.Status, refusal.Code, refusal.Param));
        Assert.Contains("Use `one-model` instead", refusal.Message, StringComparison.Ordinal);
        var call = await AdmitAsync("""{"model":"either","messages":[{"role":"user","content":"a"}]}""");
        Assert.Equal("one-model", Assert.Single(call.Route).Target.Model.Id);
        Assert.Null(call.Deprecation);
    }

    [Theory]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]", "tools")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}", "response_format")]
    [InlineData("\"x\":1,\"y\":2", null)]
    public async Task What_a_model_is_known_not_to_do_is_refused_by_the_field(string field, string? param)
    {
        var json = $"{{\"model\":\"leaving\",\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}}],{field}}}";
        if (param is null)
            Assert.Single((await AdmitAsync(json)).Route);
        else
            Assert.Equal((400, "unsupported_parameter", param), (await RefusedAsync(json)) is var refusal ? (refusal.Status, refusal.Code, refusal.Param) : default);
    }

    [Fact]
    public async Task An_image_for_a_model_that_does_not_see_goes_to_another_target()
    {
        var call = await AdmitAsync("""{"model":"either","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x.test/a.png"}}]}]}""");

        Assert.Equal("one-model", Assert.Single(call.Route).Target.Model.Id);
    }

    [Fact]
    public async Task A_model_that_does_not_chat_is_refused()
        => Assert.Equal((400, "model_not_supported"), await Status("""{"model":"embedder","messages":[{"role":"user","content":"a"}]}"""));

    [Fact]
    public async Task An_embedding_goes_to_the_embedding_models_of_an_alias_that_speak_its_wire_and_has_no_output()
    {
        using var request = SampleCalls.Embedding("""{"model":"mixed","input":["one","two"]}""");
        var call = await AdmitAsync(request);

        Assert.Equal(["embedder"], call.Route.Select(t => t.Target.Model.Id));
        Assert.Equal(0, call.OutputCap);
        Assert.Equal(2, call.EstimatedInput);
    }

    [Theory]
    [InlineData("one-model")]
    [InlineData("two-embedder")] // Anthropic's wire has no embeddings, whatever configuration says.
    public async Task A_model_that_does_not_embed_is_refused_by_name(string model)
    {
        using var request = SampleCalls.Embedding($$"""{"model":"{{model}}","input":"x"}""");

        var refusal = await Assert.ThrowsAsync<WireException>(() => AdmitAsync(request));

        Assert.Equal((400, "model_not_supported", "model"), (refusal.Status, refusal.Code, refusal.Param));
        Assert.Contains("/v1/embeddings", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, 1024)]
    [InlineData(10, 10)]
    [InlineData(2000, 2000)]
    [InlineData(1_000_000, 4096)]
    public async Task The_output_cap_is_the_callers_else_the_tiers_within_the_smallest_models(int? asked, int expected)
    {
        var field = asked is null ? "" : $",\"max_tokens\":{asked}";
        var call = await AdmitAsync($"{{\"model\":\"both\",\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}}]{field}}}");

        Assert.Equal(expected, call.OutputCap);
    }

    [Fact]
    public async Task A_prompt_beyond_every_window_is_refused_before_anything_is_spent()
        => Assert.Equal((400, "context_length_exceeded"), await Status($$$"""{"model":"one-model","messages":[{"role":"user","content":"{{{new string('x', 3_200_000)}}}"}]}"""));

    private async Task TakenOutAsync(string message, string field, string param)
    {
        var call = await AdmitAsync($$"""{"model":"both","messages":[{{message}}],{{field}} }""");
        Assert.Equal("one", Assert.Single(call.Route).Target.Provider);

        var refusal = await RefusedAsync($$"""{"model":"two-model","messages":[{{message}}],{{field}} }""");
        Assert.Equal((400, "unsupported_parameter", param), (refusal.Status, refusal.Code, refusal.Param));
        Assert.Contains("a model of another provider", refusal.Message, StringComparison.Ordinal);
    }

    private async Task<(int, string?)> Status(string json)
    {
        var refusal = await RefusedAsync(json);
        return (refusal.Status, refusal.Code);
    }

    private Task<WireException> RefusedAsync(string json, Entitlements? entitlements = null)
        => Assert.ThrowsAsync<WireException>(() => AdmitAsync(json, entitlements));

    private Task<ChatCall> AdmitAsync(string json, Entitlements? entitlements = null) => AdmitAsync(SampleCalls.Request(json), entitlements);

    private async Task<ChatCall> AdmitAsync(ModelRequest request, Entitlements? entitlements = null)
    {
        var catalog = new CatalogOptions
        {
            Providers =
            {
                ["one"] = Provider(ProviderWire.OpenAI, new ModelOptions { Id = "one-model", MaxOutputTokens = 4096 }, new ModelOptions { Id = "embedder", Kind = ModelKind.Embedding, VectorSpace = "v" },
                    new ModelOptions { Id = "leaving", Capabilities = [], DeprecatedAt = SampleCalls.Now.AddDays(-1), SunsetAt = SampleCalls.Now.AddDays(1), Replacement = "one-model" }),
                ["two"] = Provider(ProviderWire.Anthropic, new ModelOptions { Id = "two-model" }, new ModelOptions { Id = "two-embedder", Kind = ModelKind.Embedding, VectorSpace = "v" }),
            },
            Aliases = { ["both"] = ["one-model", "two-model"], ["mixed"] = ["two-model", "two-embedder", "embedder"], ["either"] = ["leaving", "one-model"] },
        };
        var step = new AdmitStep(new ModelCatalog(Options.Create(catalog)), _prices, _providers.Chat, static () => 0, _time);
        var call = SampleCalls.CallOf(request, SampleCalls.Caller(entitlements), _time, "chat");
        await SampleCalls.CollectAsync(step.InvokeAsync(call, static (_, _) => AsyncEnumerable.Empty<ChatEvent>(), TestContext.Current.CancellationToken));
        return call;
    }

    private static ProviderOptions Provider(ProviderWire wire, params ModelOptions[] models)
        => new() { Wire = wire, ApiKey = "k", BaseAddress = new Uri("http://x.test/v1"), Models = [.. models] };
}
