using System.Text.Json.Nodes;
using AiAspire.Api.Conversations;
using AiAspire.Api.Errors;
using AiAspire.Api.Identity;
using AiAspire.Api.Models;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;

namespace AiAspire.Api.Admin;

/// <summary>The catalog of models, for operators. Configuration's entries are overridden and added to; calls in progress are not touched.</summary>
internal static class CatalogEndpoints
{
    private const int MaxName = 200;
    private const int MaxTokens = 100_000_000;
    private static readonly string[] Fields =
    [
        "provider", "upstream_model", "kind", "vector_space", "context_window", "max_output_tokens", "requests_per_minute", "tokens_per_minute",
        "capabilities", "aliases", "deprecated_at", "sunset_at", "replacement",
    ];

    public static void MapCatalog(this IEndpointRouteBuilder admin)
    {
        var models = admin.MapGroup("/models").RequireAuthorization(Policies.Operator).WithTags("Admin");
        models.MapGet("/", List).WithName("listCatalog").WithSummary("Every model of the catalog, also those of providers without a key, with the price in force.");
        models.MapGet("/{id}", Get).WithName("retrieveCatalogModel").WithSummary("One model of the catalog.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
        models.MapGet("/{id}/history", HistoryAsync).WithName("listCatalogVersions").WithSummary("Every version of an operator's entry, the last first.");
        models.MapPut("/{id}", PutAsync).WithName("setCatalogModel").WithSummary("Add or change a model, on every replica within a second.")
            .Accepts<CatalogModelRequest>("application/json").Produces<ErrorBody>(StatusCodes.Status400BadRequest);
        models.MapDelete("/{id}", DeleteAsync).WithName("deleteCatalogModel")
            .WithSummary("Take an operator's entry back; configuration's holds again, if there is one.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
        models.MapModelPrices();
    }

    /// <exception cref="WireException">404.</exception>
    public static CatalogModel ModelOf(ModelCatalog catalog, string id)
        => catalog.All.FirstOrDefault(m => string.Equals(m.Model.Id, id, StringComparison.OrdinalIgnoreCase))
            ?? throw new WireException(404, "invalid_request_error", "not_found", $"There is no model '{id}'; GET /v1/admin/models lists them.", "id");

    private static Ok<ListResponse<CatalogModelResponse>> List(ModelCatalog catalog, PriceBook prices, TimeProvider time)
        => TypedResults.Ok(new ListResponse<CatalogModelResponse>(
            "list", [.. catalog.All.OrderBy(m => m.Model.Id, StringComparer.Ordinal).Select(m => Response(m, catalog, prices, time.GetUtcNow()))], HasMore: false));

    private static Ok<CatalogModelResponse> Get(NameInPath id, ModelCatalog catalog, PriceBook prices, TimeProvider time)
        => TypedResults.Ok(Response(ModelOf(catalog, id.Value), catalog, prices, time.GetUtcNow()));

    private static async Task<Ok<ListResponse<CatalogVersionResponse>>> HistoryAsync(NameInPath id, CatalogStore store, CancellationToken cancellationToken)
        => TypedResults.Ok(new ListResponse<CatalogVersionResponse>("list", [.. (await store.HistoryAsync(id.Value, cancellationToken)).Select(Response)], HasMore: false));

    private static async Task<Ok<CatalogModelResponse>> PutAsync(
        NameInPath id, HttpContext http, RequestCaller caller, ModelCatalog catalog, CatalogStore store, PriceBook prices, TimeProvider time, CancellationToken cancellationToken)
    {
        if (id.Value.Length > MaxName || !id.Value.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or ':' or '@' or '/'))
            throw WireException.BadRequest($"'id' must be at most {MaxName} letters, digits and -_.:@/.", "id", "invalid_value");
        var fields = await AdminFields.ReadAsync(http.Request, Fields, cancellationToken);
        var now = time.GetUtcNow();
        var written = await store.WriteAsync(
            id.Value, (before, version) => Read(id.Value, fields, before, version, ByOf(caller), now), Refuse, AuditOf(http, caller, time, AuditActions.CatalogChanged), cancellationToken);
        return TypedResults.Ok(Response(ModelOf(catalog, written.ModelId), catalog, prices, now));
    }

    private static async Task<NoContent> DeleteAsync(
        NameInPath id, HttpContext http, RequestCaller caller, CatalogStore store, TimeProvider time, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        await store.WriteAsync(
            id.Value,
            (before, version) => before is { Version: not null } known
                ? Entry(known.Model, known.Provider, version, removed: true, ByOf(caller), now)
                : throw Administration.NotFound("operator's entry of a model", "id"),
            Refuse,
            AuditOf(http, caller, time, AuditActions.CatalogRemoved),
            cancellationToken);
        return TypedResults.NoContent();
    }

    /// <summary>Who, for people: kept beside what they changed.</summary>
    public static string ByOf(RequestCaller caller) => $"{caller.Value.TenantSlug}/{caller.Value.ExternalUserId}";

    private static CatalogEntry Read(string id, AdminFields fields, CatalogModel? before, int version, string by, DateTimeOffset now)
    {
        var was = before?.Model ?? new ModelOptions { Id = id, Created = now };
        var provider = fields.Text("provider") ?? before?.Provider ?? throw WireException.BadRequest("'provider' is missing: a new model needs one.", "provider", "missing_field");
        var model = new ModelOptions
        {
            Id = was.Id,
            UpstreamModel = Text("upstream_model", was.UpstreamModel),
            Kind = fields.Choice<ModelKind>("kind") ?? was.Kind,
            VectorSpace = Text("vector_space", was.VectorSpace),
            ContextWindow = Whole("context_window", was.ContextWindow) ?? was.ContextWindow,
            MaxOutputTokens = Whole("max_output_tokens", was.MaxOutputTokens) ?? was.MaxOutputTokens,
            RequestsPerMinute = Whole("requests_per_minute", was.RequestsPerMinute),
            TokensPerMinute = Whole("tokens_per_minute", was.TokensPerMinute),
            Capabilities = fields.IsNull("capabilities") ? null : fields.Words("capabilities") ?? was.Capabilities,
            Aliases = fields.IsNull("aliases") ? [] : fields.Words("aliases") ?? was.Aliases,
            Created = was.Created,
            DeprecatedAt = fields.Has("deprecated_at") ? fields.Time("deprecated_at") : was.DeprecatedAt,
            SunsetAt = fields.Has("sunset_at") ? fields.Time("sunset_at") : was.SunsetAt,
            Replacement = Text("replacement", was.Replacement),
        };
        if (before is { Model.Kind: ModelKind.Embedding } && new CatalogModel(provider, model).VectorSpace != before.VectorSpace)
        {
            throw WireException.BadRequest(
                $"'{id}' gives vectors of the space '{before.VectorSpace}', and callers keep them: one of another space needs another id. If it is the same model elsewhere, set 'vector_space' to '{before.VectorSpace}'.",
                "vector_space",
                "vector_space_fixed");
        }

        return Entry(model, provider, version, removed: false, by, now);

        string? Text(string name, string? old) => fields.IsNull(name) ? null : fields.Text(name) ?? old;
        int? Whole(string name, int? old) => fields.Has(name) ? (int?)fields.Whole(name, 1, MaxTokens) : old;
    }

    private static CatalogEntry Entry(ModelOptions model, string provider, int version, bool removed, string by, DateTimeOffset now) => new()
    {
        TenantId = TenantScope.PlatformTenantId,
        ModelId = model.Id,
        Version = version,
        Removed = removed,
        Provider = provider,
        UpstreamModel = model.UpstreamModel,
        Kind = model.Kind,
        VectorSpace = model.VectorSpace,
        ContextWindow = model.ContextWindow,
        MaxOutputTokens = model.MaxOutputTokens,
        RequestsPerMinute = model.RequestsPerMinute,
        TokensPerMinute = model.TokensPerMinute,
        Capabilities = model.Capabilities,
        Aliases = model.Aliases,
        Released = model.Created,
        DeprecatedAt = model.DeprecatedAt,
        SunsetAt = model.SunsetAt,
        Replacement = model.Replacement,
        ChangedAt = now,
        ChangedBy = by,
    };

    private static WireException Refuse(string field, string text) => WireException.BadRequest(text, field, "invalid_value");

    private static Func<CatalogEntry, AuditEvent> AuditOf(HttpContext http, RequestCaller caller, TimeProvider time, string action)
    {
        var blank = caller.Value.Audit(http, time, action, TenantScope.PlatformTenantId);
        return entry => blank with
        {
            TargetKind = "model",
            TargetId = entry.ModelId,
            Details = new JsonObject
            {
                ["version"] = entry.Version,
                ["provider"] = entry.Provider,
                ["upstream_model"] = entry.UpstreamModel,
                ["context_window"] = entry.ContextWindow,
                ["max_output_tokens"] = entry.MaxOutputTokens,
                ["requests_per_minute"] = entry.RequestsPerMinute,
                ["tokens_per_minute"] = entry.TokensPerMinute,
                ["aliases"] = new JsonArray([.. entry.Aliases.Select(a => (JsonNode)a)]),
                ["deprecated_at"] = entry.DeprecatedAt?.ToString("O"),
                ["sunset_at"] = entry.SunsetAt?.ToString("O"),
                ["replacement"] = entry.Replacement,
            },
        };
    }

    private static CatalogVersionResponse Response(CatalogEntry entry) => new(
        entry.Version,
        "model.version",
        entry.Removed,
        entry.ChangedAt,
        entry.ChangedBy,
        new CatalogModelRequest(
            entry.Provider, entry.UpstreamModel, AdminFields.Word(entry.Kind), entry.VectorSpace, entry.ContextWindow, entry.MaxOutputTokens, entry.RequestsPerMinute,
            entry.TokensPerMinute, entry.Capabilities, entry.Aliases, entry.DeprecatedAt, entry.SunsetAt, entry.Replacement));

    private static CatalogModelResponse Response(CatalogModel catalogModel, ModelCatalog catalog, PriceBook prices, DateTimeOffset now)
    {
        var (provider, model, version) = catalogModel;
        var settings = catalog.Providers[provider];
        var price = prices.Find(new ModelTarget(provider, settings, model));
        return new CatalogModelResponse(
            model.Id,
            "model",
            version is null ? "configuration" : "api",
            version,
            catalog.Model(model.Id) is null ? "no_key" : model.SunsetAt <= now ? "retired" : price is null ? "no_price" : model.DeprecatedAt <= now ? "deprecated" : "offered",
            provider,
            settings.Company,
            settings.Wire == ProviderWire.Anthropic ? "anthropic" : "openai",
            model.UpstreamModel ?? model.Id,
            AdminFields.Word(model.Kind),
            model.Kind == ModelKind.Embedding ? catalogModel.VectorSpace : null,
            model.ContextWindow,
            model.MaxOutputTokens,
            model.RequestsPerMinute,
            model.TokensPerMinute,
            model.Capabilities,
            model.Aliases,
            model.DeprecatedAt,
            model.SunsetAt,
            model.Replacement,
            price is null ? null : ModelPriceEndpoints.Response(price, price, now));
    }
}
