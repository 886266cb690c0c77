namespace AiAspire.Api.Admin;

/// <summary>What is absent stays as it is; null takes a value away.</summary>
/// <param name="Provider">A provider of configuration; needed for a new model.</param>
/// <param name="UpstreamModel">The provider's name of the model, when that differs.</param>
/// <param name="Kind"><c>chat</c> (the default), <c>embedding</c> or <c>moderation</c>.</param>
/// <param name="VectorSpace">Of an embedding model: whose vectors its own may be compared with. Cannot be changed.</param>
/// <param name="ContextWindow">Tokens of input and output together.</param>
/// <param name="RequestsPerMinute">The provider's limit for each key of ours.</param>
/// <param name="TokensPerMinute">Likewise, of tokens.</param>
/// <param name="Capabilities"><c>tools</c>, <c>vision</c>, <c>structured_output</c>, <c>reasoning</c>, <c>audio</c>; null: not known, so nothing is refused.</param>
/// <param name="Aliases">Other names of this model alone.</param>
/// <param name="DeprecatedAt">Callers are told from its setting on.</param>
/// <param name="SunsetAt">From then on it is refused.</param>
/// <param name="Replacement">The model or alias to use instead.</param>
public sealed record CatalogModelRequest(
    string? Provider = null,
    string? UpstreamModel = null,
    string? Kind = null,
    string? VectorSpace = null,
    int? ContextWindow = null,
    int? MaxOutputTokens = null,
    int? RequestsPerMinute = null,
    int? TokensPerMinute = null,
    string[]? Capabilities = null,
    string[]? Aliases = null,
    DateTimeOffset? DeprecatedAt = null,
    DateTimeOffset? SunsetAt = null,
    string? Replacement = null);

/// <param name="Source"><c>configuration</c>, or <c>api</c> for an operator's entry in its place or beside it.</param>
/// <param name="Version">Of the operator's entry.</param>
/// <param name="State"><c>offered</c>, <c>deprecated</c>, <c>retired</c>, <c>no_price</c> or <c>no_key</c> (of the provider).</param>
/// <param name="Price">The version in force; null: there is none, and the model is refused.</param>
public sealed record CatalogModelResponse(
    string Id,
    string Object,
    string Source,
    int? Version,
    string State,
    string Provider,
    string Company,
    string Wire,
    string UpstreamModel,
    string Kind,
    string? VectorSpace,
    int ContextWindow,
    int MaxOutputTokens,
    int? RequestsPerMinute,
    int? TokensPerMinute,
    string[]? Capabilities,
    string[] Aliases,
    DateTimeOffset? DeprecatedAt,
    DateTimeOffset? SunsetAt,
    string? Replacement,
    ModelPriceResponse? Price);

/// <summary>One version of an operator's entry.</summary>
/// <param name="Removed">Taken back: configuration's entry holds again, if there is one.</param>
public sealed record CatalogVersionResponse(int Version, string Object, bool Removed, DateTimeOffset ChangedAt, string ChangedBy, CatalogModelRequest Entry);

/// <summary>US dollars per million tokens. A class without a price falls back: cached input and cache write to input, reasoning to output.</summary>
/// <param name="EffectiveFrom">Not in the past; default now.</param>
/// <param name="LongContext">Other rates for the whole of a request with more input tokens, at most ten, the lowest threshold first.</param>
public sealed record ModelPriceRequest(
    decimal Input,
    decimal Output,
    decimal? CachedInput = null,
    decimal? CacheWrite = null,
    decimal? Reasoning = null,
    LongContextRequest[]? LongContext = null,
    DateTimeOffset? EffectiveFrom = null);

/// <param name="Above">Input tokens, cached ones included, that are still charged at the rates below.</param>
public sealed record LongContextRequest(long Above, decimal Input, decimal Output, decimal? CachedInput = null, decimal? CacheWrite = null, decimal? Reasoning = null);

/// <param name="State"><c>scheduled</c> (may be replaced or withdrawn), <c>in_force</c> or <c>past</c>.</param>
/// <param name="Source"><c>configuration</c> or <c>api</c>.</param>
public sealed record ModelPriceResponse(
    Guid Id,
    string Object,
    string State,
    DateTimeOffset EffectiveFrom,
    decimal Input,
    decimal CachedInput,
    decimal CacheWrite,
    decimal Output,
    decimal Reasoning,
    IReadOnlyList<LongContextResponse> LongContext,
    string Source,
    DateTimeOffset CreatedAt,
    string CreatedBy);

public sealed record LongContextResponse(long Above, decimal Input, decimal CachedInput, decimal CacheWrite, decimal Output, decimal Reasoning);
