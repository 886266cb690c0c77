using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Models;

/// <summary>The wire that a provider speaks.</summary>
public enum ProviderWire
{
    /// <summary>OpenAI's chat completions, as also spoken by Azure OpenAI, vLLM, Ollama and others.</summary>
    OpenAI,

    /// <summary>Anthropic's messages.</summary>
    Anthropic,
}

/// <summary>How a provider is called.</summary>
public enum ProviderClient
{
    /// <summary>The wire's default: verbatim HTTP for OpenAI's, the official SDK for Anthropic's.</summary>
    Default,

    /// <summary>Through <c>Microsoft.Extensions.AI</c>'s client over the company's official SDK, whatever the wire.</summary>
    Sdk,
}

public enum ModelKind
{
    Chat,
    Embedding,
    Moderation,
}

/// <summary>
/// Sections <c>Providers</c>, <c>Aliases</c> and <c>FeatureRoutes</c>; the shipped <c>catalog.json</c> lies beneath what configuration adds.
/// </summary>
public sealed class CatalogOptions
{
    public Dictionary<string, ProviderOptions> Providers { get; init; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>
    /// A name that callers may use, and the models it stands for, first choice first. An entry is a model, or several with weights that
    /// share the place: <c>["gpt-4o=3, gpt-4.1=1", "claude-sonnet-4-5"]</c>.
    /// </summary>
    public Dictionary<string, string[]> Aliases { get; init; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>
    /// By feature (<c>X-AiAspire-Feature</c>): routes that replace those of an alias or model for that feature's calls, in the form of
    /// <see cref="Aliases"/>. Example: <c>FeatureRoutes:search:default:0 = gpt-4.1-mini</c>.
    /// </summary>
    public Dictionary<string, Dictionary<string, string[]>> FeatureRoutes { get; init; } = new(StringComparer.OrdinalIgnoreCase);
}

public sealed class ProviderOptions
{
    /// <summary>The company; a fallback is to be of another one.</summary>
    public string Company { get; init; } = "";

    public ProviderWire Wire { get; init; }

    public ProviderClient Client { get; init; }

    /// <summary>For OpenAI's wire with its version, as SDKs take it (<c>https://api.openai.com/v1</c>); for Anthropic's without.</summary>
    public Uri? BaseAddress { get; init; }

    /// <summary>Permits a plain http address beyond this machine, for a model server in an encrypted network of one's own.</summary>
    public bool AllowPlaintext { get; init; }

    /// <summary>
    /// The first key; more are added by <c>POST /v1/admin/providers/{name}/keys</c>. The provider's models are offered only when there
    /// is one. <c>none</c> for servers that ask for no key.
    /// </summary>
    public string? ApiKey { get; init; }

    /// <summary>Whether configuration gives it a key.</summary>
    internal bool HasKey => !string.IsNullOrEmpty(ApiKey);

    /// <summary>The field in which an output cap is sent when the caller named none: <c>max_completion_tokens</c> or, for older servers, <c>max_tokens</c>.</summary>
    public string MaxTokensField { get; init; } = "max_completion_tokens";

    /// <summary>
    /// Whether it knows OpenAI's <c>store</c>: then it is told to keep nothing unless the caller asks for it, since all tenants share its account.
    /// Null: OpenAI and Azure do, by their addresses; other servers may refuse a field that they do not know.
    /// </summary>
    public bool? KnowsStore { get; init; }

    internal bool IsToldToStoreNothing => KnowsStore
        ?? (BaseAddress?.Host is { } host && (host.Equals("api.openai.com", StringComparison.OrdinalIgnoreCase) || host.EndsWith(".openai.azure.com", StringComparison.OrdinalIgnoreCase)));

    /// <summary>
    /// Tokens a second that its models are taken to write where nothing else is known: for calls that end before it has told of any. Each choice
    /// writes as fast. Default 150, more than most models do.
    /// </summary>
    public double TokensPerSecond { get; init; } = 150;

    /// <summary>Seconds until the first byte of the reply. Default 120.</summary>
    public double FirstTokenSeconds { get; init; } = 120;

    /// <summary>Seconds without a byte within a stream. Default 60.</summary>
    public double IdleSeconds { get; init; } = 60;

    /// <summary>The uptime that the provider promises, in percent; shown beside what is measured. Null: it promises none.</summary>
    public double? SlaPercent { get; init; }

    public List<ModelOptions> Models { get; init; } = [];
}

public sealed class ModelOptions
{
    /// <summary>The name callers use; unique over all providers that have a key.</summary>
    public string Id { get; init; } = "";

    /// <summary>The provider's name of it, when that differs (a deployment on Azure).</summary>
    public string? UpstreamModel { get; init; }

    public ModelKind Kind { get; init; }

    /// <summary>Tokens of input and output together.</summary>
    public int ContextWindow { get; init; } = 128_000;

    public int MaxOutputTokens { get; init; } = 16_384;

    /// <summary>The provider's limit for each key of ours, respected before sending. Null: none is known.</summary>
    public int? RequestsPerMinute { get; init; }

    /// <summary>Input and output tokens together; see <see cref="RequestsPerMinute"/>.</summary>
    public int? TokensPerMinute { get; init; }

    public DateTimeOffset Created { get; init; } = new(2025, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>US dollars per million tokens. A model without a price is refused, never served at $0.</summary>
    public PriceOptions? Price { get; init; }

    /// <summary>Other names of this model alone. A route over several models is an alias of <see cref="CatalogOptions.Aliases"/>.</summary>
    public string[] Aliases { get; init; } = [];

    /// <summary>What it can do (<see cref="ModelCapabilities"/>); a request that needs something else goes to another target. Null: not known, so nothing is refused.</summary>
    public string[]? Capabilities { get; init; }

    internal bool Reasons => Capabilities?.Contains(ModelCapabilities.Reasoning, StringComparer.Ordinal) == true;

    /// <summary>
    /// Of an embedding model: the name of the space that its vectors lie in. Models of one space may stand in for one another, and may be
    /// together in a route; of different spaces never. Default: this provider's model alone.
    /// </summary>
    public string? VectorSpace { get; init; }

    /// <summary>Callers are told from its setting on that the model is on its way out (RFC 9745).</summary>
    public DateTimeOffset? DeprecatedAt { get; init; }

    /// <summary>From then on the model is refused (RFC 8594).</summary>
    public DateTimeOffset? SunsetAt { get; init; }

    /// <summary>The model or alias to use instead.</summary>
    public string? Replacement { get; init; }
}

/// <summary>The words for what a model can do. What a request needs of the first three is checked before it is sent.</summary>
public static class ModelCapabilities
{
    public const string Tools = "tools";
    public const string Vision = "vision";
    public const string StructuredOutput = "structured_output";

    /// <summary>It thinks before it answers, and bills what it thought.</summary>
    public const string Reasoning = "reasoning";

    public static readonly IReadOnlyList<string> All = [Tools, Vision, StructuredOutput, Reasoning, "audio"];
}

public sealed class PriceOptions
{
    [Required]
    public decimal? Input { get; init; }

    [Required]
    public decimal? Output { get; init; }

    /// <summary>Default: as <see cref="Input"/>.</summary>
    public decimal? CachedInput { get; init; }

    /// <summary>Default: as <see cref="Input"/>.</summary>
    public decimal? CacheWrite { get; init; }

    /// <summary>Default: as <see cref="Output"/>.</summary>
    public decimal? Reasoning { get; init; }

    /// <summary>Other rates for the whole of a request with more input tokens, the lowest threshold first.</summary>
    public List<LongContextOptions> LongContext { get; init; } = [];
}

/// <summary>Defaults as in <see cref="PriceOptions"/>, within these rates.</summary>
public sealed class LongContextOptions
{
    /// <summary>Input tokens, cached ones included, that are still charged at the rates below.</summary>
    public long Above { get; init; }

    public decimal? Input { get; init; }

    public decimal? Output { get; init; }

    public decimal? CachedInput { get; init; }

    public decimal? CacheWrite { get; init; }

    public decimal? Reasoning { get; init; }
}

internal sealed class CatalogValidation : IValidateOptions<CatalogOptions>
{
    public ValidateOptionsResult Validate(string? name, CatalogOptions options)
    {
        var faults = new List<string>();
        var known = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var (id, provider) in options.Providers)
        {
            if (provider.BaseAddress is not { IsAbsoluteUri: true, Scheme: "http" or "https" })
                faults.Add($"Providers:{id}:BaseAddress must be an absolute http(s) address.");
            if (provider.MaxTokensField is not ("max_completion_tokens" or "max_tokens"))
                faults.Add($"Providers:{id}:MaxTokensField must be max_completion_tokens or max_tokens.");
            if (provider.TokensPerSecond is not (>= 0 and <= 100_000))
                faults.Add($"Providers:{id}:TokensPerSecond must be from 0 to 100000.");
            if (provider.FirstTokenSeconds <= 0 || provider.IdleSeconds <= 0)
                faults.Add($"Providers:{id}: FirstTokenSeconds and IdleSeconds must be above 0.");
            if (provider.SlaPercent is < 0 or > 100)
                faults.Add($"Providers:{id}:SlaPercent must be from 0 to 100.");
            for (var i = 0; i < provider.Models.Count; i++)
            {
                var model = provider.Models[i];
                var path = $"Providers:{id}:Models:{i}";
                if (string.IsNullOrWhiteSpace(model.Id))
                    faults.Add($"{path}:Id is missing.");
                known.Add(model.Id);
                if (model.ContextWindow <= 0 || model.MaxOutputTokens <= 0)
                    faults.Add($"{path}: ContextWindow and MaxOutputTokens must be above 0.");
                if (model.RequestsPerMinute <= 0 || model.TokensPerMinute <= 0)
                    faults.Add($"{path}: RequestsPerMinute and TokensPerMinute must be above 0, or absent.");
                if (model.Price is { } price && (price.Input is null or < 0 || price.Output is null or < 0 || price.CachedInput < 0 || price.CacheWrite < 0 || price.Reasoning < 0))
                    faults.Add($"{path}:Price needs Input and Output, in US dollars per million tokens, none below 0.");
                var above = 0L;
                foreach (var tier in model.Price?.LongContext ?? [])
                {
                    if (tier.Above <= above || tier.Input is null or < 0 || tier.Output is null or < 0 || tier.CachedInput < 0 || tier.CacheWrite < 0 || tier.Reasoning < 0)
                        faults.Add($"{path}:Price:LongContext needs Above (rising, from 1), Input and Output, none below 0.");
                    above = tier.Above;
                }
            }
        }

        faults.AddRange(GivenTwice(options));
        foreach (var (alias, entries) in options.Aliases)
            CheckRoute($"Aliases:{alias}", entries, known, faults);
        foreach (var (feature, routes) in options.FeatureRoutes)
        {
            foreach (var (replaced, entries) in routes)
            {
                CheckRoute($"FeatureRoutes:{feature}:{replaced}", entries, known, faults);
                if (!known.Contains(replaced) && !options.Aliases.ContainsKey(replaced))
                    faults.Add($"FeatureRoutes:{feature}:{replaced} replaces nothing: there is no alias or model of that name.");
            }
        }

        faults.AddRange(CatalogRules.Faults(options, CatalogModel.Of(options)).Select(f => $"{f.Place}: {f.Text}"));
        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);
    }

    /// <summary>A caller's word for a model must lead to one; which of two is meant only the operator knows.</summary>
    private static IEnumerable<string> GivenTwice(CatalogOptions options)
    {
        var models = options.Providers.SelectMany(p => p.Value.Models.Select((m, i) => (m.Id, Place: $"Providers:{p.Key}:Models:{i}", p.Value.HasKey)));
        foreach (var same in models.Where(m => !string.IsNullOrWhiteSpace(m.Id)).GroupBy(m => m.Id, StringComparer.OrdinalIgnoreCase))
        {
            var rivals = same.Any(m => m.HasKey) ? same.Where(m => m.HasKey).ToList() : [.. same];
            foreach (var later in rivals.Skip(1))
                yield return $"{later.Place}:Id '{later.Id}' is also the Id of {rivals[0].Place}. Give one of them another Id, and name the provider's own in its UpstreamModel.";
        }
    }

    private static void CheckRoute(string path, string[] entries, HashSet<string> known, List<string> faults)
    {
        if (entries.Length == 0)
            faults.Add($"{path} names no model.");
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var entry in entries)
        {
            var group = RouteGroup.Parse(entry, out var fault);
            if (fault is not null)
                faults.Add($"{path}: {fault}");
            foreach (var (model, _) in group)
            {
                if (!known.Contains(model))
                    faults.Add($"{path} names the unknown model '{model}'.");
                else if (!seen.Add(model))
                    faults.Add($"{path} names the model '{model}' twice.");
            }
        }
    }
}
