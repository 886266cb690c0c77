using AiAspire.Core.Models;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.CoreTests.Models;

public sealed class CatalogTests
{
    [Fact]
    public void The_shipped_catalog_is_valid_and_every_model_has_a_price()
    {
        var shipped = Options([]);

        Assert.NotEmpty(shipped.Providers);
        Assert.All(
            shipped.Providers.SelectMany(p => p.Value.Models, (p, m) => (Provider: p.Key, Model: m)),
            m => Assert.True(m.Model.Price is { Input: >= 0, Output: >= 0 }, $"{m.Provider}/{m.Model.Id} has no price."));
        // Prices are kept to the millionth of a dollar: one with more digits would be rounded in the table.
        Assert.All(
            shipped.Providers.SelectMany(p => p.Value.Models).SelectMany(m => new[] { m.Price!.Input, m.Price.Output, m.Price.CachedInput, m.Price.CacheWrite }.OfType<decimal>()),
            price => Assert.Equal(decimal.Round(price, 6), price));
        Assert.All(shipped.Providers.SelectMany(p => p.Value.Models), m => Assert.False(m.Price!.CachedInput > m.Price.Input, $"{m.Id}: cached input dearer than input."));
    }

    [Fact]
    public void Every_shipped_alias_falls_back_to_another_company()
        => Assert.All(Options([]).Aliases, alias =>
        {
            var catalog = Catalog(("Providers:openai:ApiKey", "k"), ("Providers:anthropic:ApiKey", "k"));
            Assert.True(catalog.Route(alias.Key).Select(t => t.Settings.Company).Distinct(StringComparer.Ordinal).Count() >= 2, $"{alias.Key} stands for one company alone.");
        });

    [Fact]
    public void A_provider_without_a_key_is_not_offered()
    {
        var catalog = Catalog();

        Assert.DoesNotContain(catalog.Targets, t => t.Provider is "openai" or "anthropic");
        Assert.Empty(catalog.Route("gpt-4.1-mini"));
        Assert.Equal("sim-large", catalog.Route("default")[0].Model.Id);
        Assert.DoesNotContain(catalog.OfferedAt(SampleCalls.Now), o => o.Key == "gpt-4o");
    }

    [Fact]
    public void A_server_of_ones_own_may_name_a_model_as_a_company_does_that_has_no_key()
    {
        (string, string)[] own =
        [
            ("Providers:own:BaseAddress", "http://127.0.0.1:9100/v1"), ("Providers:own:ApiKey", "k"),
            ("Providers:own:Models:0:Id", "gpt-4.1-mini"), ("Providers:own:Models:1:Id", "Text-Embedding-3-Small"), ("Providers:own:Models:1:Kind", "Embedding"),
        ];
        var catalog = Catalog(own);

        Assert.Equal("own", Assert.Single(catalog.Route("gpt-4.1-mini")).Provider);
        Assert.Equal("own", Assert.Single(catalog.All, m => m.Model.Id.Equals("text-embedding-3-small", StringComparison.OrdinalIgnoreCase)).Provider);
        Assert.Equal("own", catalog.Route("default")[0].Provider);
        // A key that comes later brings the company's other models, and leaves this name where it is.
        catalog.Offer(new HashSet<string> { "openai" });
        Assert.Equal("own", Assert.Single(catalog.Route("gpt-4.1-mini")).Provider);
        Assert.Equal("openai", Assert.Single(catalog.Route("gpt-4o")).Provider);
        Assert.Throws<OptionsValidationException>(() => Catalog([.. own, ("Providers:openai:ApiKey", "k")]));
    }

    [Fact]
    public void With_its_key_it_is_and_leads_the_alias()
    {
        var catalog = Catalog(("Providers:openai:ApiKey", "k"));

        Assert.Equal(["gpt-4.1-mini", "sim-large", "sim-anthropic-large"], catalog.Route("DEFAULT").Select(t => t.Model.Id));
        Assert.Equal("openai", Assert.Single(catalog.Route("gpt-4o")).Provider);
    }

    [Fact]
    public void An_alias_of_which_nothing_is_offered_is_unknown()
    {
        var catalog = Catalog(("Aliases:smart:0", "gpt-4o"), ("Aliases:smart:1", "claude-haiku-4-5"));

        Assert.Empty(catalog.Route("smart"));
        Assert.DoesNotContain(catalog.OfferedAt(SampleCalls.Now), o => o.Key == "smart");
    }

    [Fact]
    public void A_deployment_has_the_providers_name_upstream()
    {
        var catalog = Catalog(
            ("Providers:azure:BaseAddress", "https://x.example/openai/v1"), ("Providers:azure:ApiKey", "k"),
            ("Providers:azure:Models:0:Id", "my-model"), ("Providers:azure:Models:0:UpstreamModel", "deployment-7"));

        Assert.Equal("deployment-7", catalog.Route("my-model")[0].UpstreamModel);
        Assert.Equal("sim-large", catalog.Route("sim-large")[0].UpstreamModel);
    }

    [Theory]
    [InlineData("Providers:x:BaseAddress", "ftp://x", "Providers:x:BaseAddress must be an absolute http(s) address.")]
    [InlineData("Providers:x:BaseAddress", "/v1", "Providers:x:BaseAddress must be an absolute http(s) address.")]
    [InlineData("Providers:x:ApiKey", "k", "Providers:x:BaseAddress must be an absolute http(s) address.")]
    [InlineData("Providers:openai:MaxTokensField", "maxTokens", "Providers:openai:MaxTokensField must be max_completion_tokens or max_tokens.")]
    [InlineData("Providers:openai:IdleSeconds", "0", "Providers:openai: FirstTokenSeconds and IdleSeconds must be above 0.")]
    [InlineData("Providers:openai:FirstTokenSeconds", "-1", "Providers:openai: FirstTokenSeconds and IdleSeconds must be above 0.")]
    [InlineData("Providers:openai:Models:0:Id", " ", "Providers:openai:Models:0:Id is missing.")]
    [InlineData("Providers:sim-anthropic:Models:0:Id", "Sim-Large", "Providers:sim-openai:Models:0:Id 'sim-large' is also the Id of Providers:sim-anthropic:Models:0. Give one of them another Id, and name")]
    [InlineData("Providers:openai:Models:0:Id", "claude-haiku-4-5", "is also the Id of Providers:anthropic:Models:1")]
    [InlineData("Providers:openai:Models:0:ContextWindow", "0", "ContextWindow and MaxOutputTokens must be above 0.")]
    [InlineData("Providers:openai:Models:0:MaxOutputTokens", "-1", "ContextWindow and MaxOutputTokens must be above 0.")]
    [InlineData("Providers:openai:Models:0:Price:Output", "-1", "Providers:openai:Models:0:Price needs Input and Output, in US dollars per million tokens, none below 0.")]
    [InlineData("Providers:openai:Models:0:Price:CachedInput", "-0.1", "Price needs Input and Output")]
    [InlineData("Providers:openai:Models:9:Price:Input", "1", "Price needs Input and Output")]
    [InlineData("Aliases:smart:0", "nothing", "Aliases:smart names the unknown model 'nothing'.")]
    [InlineData("Aliases:smart:0", "sim-large=0", "Aliases:smart: the weight in 'sim-large=0' must be a whole number from 1")]
    [InlineData("Aliases:smart:0", "sim-large=two", "must be a whole number")]
    [InlineData("Aliases:smart:0", "sim-large=1,", "names no model; write 'model' or 'model=weight, other=weight'.")]
    [InlineData("Aliases:smart:0", "sim-large, sim-large", "Aliases:smart names the model 'sim-large' twice.")]
    [InlineData("FeatureRoutes:search:default:0", "nothing", "FeatureRoutes:search:default names the unknown model 'nothing'.")]
    [InlineData("FeatureRoutes:search:nobody:0", "sim-large", "FeatureRoutes:search:nobody replaces nothing")]
    [InlineData("Providers:openai:Models:0:RequestsPerMinute", "0", "RequestsPerMinute and TokensPerMinute must be above 0")]
    [InlineData("Providers:openai:Models:0:Price:LongContext:0:Above", "0", "Price:LongContext needs Above (rising, from 1), Input and Output")]
    [InlineData("Providers:openai:Models:0:Capabilities:0", "telepathy", "Model gpt-4o: 'telepathy' is no capability")]
    [InlineData("Providers:openai:Models:0:Aliases:0", "gpt-4.1", "the alias 'gpt-4.1' is empty, or the name of something else")]
    [InlineData("Providers:openai:Models:0:Replacement", "gpt-9", "the replacement 'gpt-9' must be another model or alias")]
    [InlineData("Providers:openai:Models:0:SunsetAt", "2027-01-01", "a sunset needs a deprecation that is not after it")]
    [InlineData("Aliases:vectors:0", "text-embedding-3-small=1, text-embedding-3-large=1", "Aliases:vectors: would mix the vector spaces 'openai/text-embedding-3-small'")]
    [InlineData("FeatureRoutes:search:text-embedding-3-small:0", "text-embedding-3-large", "FeatureRoutes:search:text-embedding-3-small: would mix the vector spaces")]
    [InlineData("Providers:openai:SlaPercent", "101", "Providers:openai:SlaPercent must be from 0 to 100.")]
    public void A_fault_is_named_with_its_place(string key, string value, string expected)
    {
        var fault = Assert.Throws<OptionsValidationException>(() => Options([(key, value)]));

        Assert.Contains(fault.Failures, f => f.Contains(expected, StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    [Trait("Checklist", "PROV-01")]
    public void A_feature_may_have_a_route_of_its_own()
    {
        var catalog = Catalog(("FeatureRoutes:search:default:0", "sim-small=2, sim-anthropic-small=1"), ("FeatureRoutes:search:default:1", "sim-large"));

        Assert.Equal(["sim-small", "sim-anthropic-small", "sim-large"], catalog.Find("default", "search")!.Targets.Select(t => t.Model.Id));
        Assert.Equal("sim-large", catalog.Find("default", "chat")!.Targets[0].Model.Id);
        Assert.Equal("sim-large", Assert.Single(catalog.Find("sim-large", "search")!.Targets).Model.Id);
    }

    [Fact]
    [Trait("Checklist", "PROV-02")]
    public void A_route_that_leads_to_one_company_alone_is_known_as_such()
    {
        var catalog = Catalog(
            ("Aliases:twice:0", "sim-large"), ("Aliases:twice:1", "sim-small"), ("Aliases:renamed:0", "sim-large"), ("Aliases:weighted:0", "sim-large=1, sim-small=1"),
            ("FeatureRoutes:search:default:0", "sim-large"), ("FeatureRoutes:search:default:1", "gpt-4o"));

        // The key of OpenAI is missing, so the feature's route has lost its fallback. One name alone asked for none.
        Assert.Equal(["Aliases:twice", "Aliases:weighted", "FeatureRoutes:search:default"], catalog.RoutesOfOneCompany().Order());
    }

    [Fact]
    public void A_provider_that_got_its_key_later_is_offered_from_then_on()
    {
        var catalog = Catalog();
        catalog.Offer(new HashSet<string>(StringComparer.OrdinalIgnoreCase) { "openai" });

        Assert.Equal("gpt-4.1-mini", catalog.Route("default")[0].Model.Id);
        catalog.Offer(new HashSet<string>());
        Assert.Empty(catalog.Route("gpt-4o"));
    }

    [Fact]
    public void A_misspelt_setting_is_no_silent_default()
        => Assert.ThrowsAny<InvalidOperationException>(() => Options([("Providers:openai:BaseAdress", "https://x")]));

    [Fact]
    public void Models_of_one_vector_space_may_stand_in_for_one_another()
    {
        var catalog = Catalog(
            ("Providers:sim-openai:Models:9:Id", "deployed"), ("Providers:sim-openai:Models:9:Kind", "Embedding"), ("Providers:sim-openai:Models:9:VectorSpace", "sim-embedding"),
            ("Aliases:vectors:0", "sim-embedding"), ("Aliases:vectors:1", "deployed"));

        Assert.Equal(["sim-embedding", "deployed"], catalog.Route("vectors").Select(t => t.Model.Id));
    }

    [Fact]
    [Trait("Checklist", "PROV-05")]
    public void An_operators_entry_stands_in_the_place_of_configurations_until_it_is_taken_back()
    {
        var catalog = Catalog();
        Assert.Empty(catalog.Hold([Entry("sim-large", aliases: ["big"], requestsPerMinute: 7), Entry("brand-new", upstream: "sim-small")]));

        Assert.Equal((7, "sim-large"), (catalog.Route("big")[0].Model.RequestsPerMinute, catalog.Route("big")[0].UpstreamModel));
        Assert.Equal("sim-small", catalog.Route("brand-new")[0].UpstreamModel);
        Assert.Equal(7, catalog.Route("default")[0].Model.RequestsPerMinute);
        var before = catalog.Route("big")[0];
        catalog.Hold([Entry("sim-large", aliases: ["big"], requestsPerMinute: 7), Entry("brand-new", upstream: "sim-small")]);
        // Reading the same again is no change: what is counted per target goes on.
        Assert.Equal(before, catalog.Route("big")[0]);

        catalog.Hold([Entry("sim-large", version: 2, removed: true), Entry("brand-new", version: 2, removed: true)]);
        Assert.Null(catalog.Route("sim-large")[0].Model.RequestsPerMinute);
        Assert.Empty(catalog.Route("brand-new"));
    }

    [Fact]
    public void An_entry_that_does_not_fit_configuration_any_more_takes_no_other_with_it()
    {
        var catalog = Catalog();
        var faults = catalog.Hold([Entry("lost", provider: "gone"), Entry("sim-large", requestsPerMinute: 7)]);

        Assert.Equal("provider", Assert.Single(faults).Field);
        Assert.Equal(7, catalog.Route("sim-large")[0].Model.RequestsPerMinute);
        Assert.Empty(catalog.Route("lost"));
    }

    private static CatalogEntry Entry(
        string id, int version = 1, bool removed = false, string provider = "sim-openai", string? upstream = null, string[]? aliases = null, int? requestsPerMinute = null) => new()
        {
            TenantId = AiAspire.Core.Data.TenantScope.PlatformTenantId,
            ModelId = id,
            Version = version,
            Removed = removed,
            Provider = provider,
            UpstreamModel = upstream,
            ContextWindow = 1000,
            MaxOutputTokens = 100,
            RequestsPerMinute = requestsPerMinute,
            Aliases = aliases ?? [],
            ChangedAt = SampleCalls.Now,
            ChangedBy = "op",
        };

    private static ModelCatalog Catalog(params (string Key, string Value)[] settings) => new(Microsoft.Extensions.Options.Options.Create(Options(settings)));

    private static CatalogOptions Options((string Key, string Value)[] settings)
    {
        var configuration = new ConfigurationManager();
        configuration.AddShippedCatalog();
        configuration.AddInMemoryCollection(settings.Select(s => KeyValuePair.Create(s.Key, (string?)s.Value)));
        using var services = new ServiceCollection().AddSingleton<IConfiguration>(configuration).AddModelCatalogOptions().BuildServiceProvider();
        return services.GetRequiredService<IOptions<CatalogOptions>>().Value;
    }
}
