using System.Text.Json;
using System.Text.Json.Nodes;
using AiAspire.Api.Conversations;
using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Api.Models;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;

namespace AiAspire.Api.Admin;

/// <summary>The versions of a model's price: added with the time from which they hold, kept for good once they do.</summary>
internal static class ModelPriceEndpoints
{
    /// <summary>US dollars per million tokens, to six places, as the table holds them.</summary>
    private const decimal MostDollars = 1_000_000m;
    private const int MaxTiers = 10;
    private const long MaxThreshold = 1_000_000_000;
    private static readonly string[] RateFields = ["input", "output", "cached_input", "cache_write", "reasoning"];
    private static readonly string[] Fields = [.. RateFields, "long_context", "effective_from"];
    private static readonly string[] TierFields = [.. RateFields, "above"];

    public static void MapModelPrices(this IEndpointRouteBuilder models)
    {
        var prices = models.MapGroup("/{id}/prices");
        prices.MapGet("/", ListAsync).WithName("listModelPrices").WithSummary("Every version of a model's price, the latest first.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
        prices.MapPost("/", AddAsync).WithName("addModelPrice").WithSummary("Add a version of a model's price, in force from now or from a time to come.")
            .Accepts<ModelPriceRequest>("application/json").Produces<ErrorBody>(StatusCodes.Status404NotFound).OncePerKey();
        prices.MapPut("/{priceId}", ReplaceAsync).WithName("replaceModelPrice").WithSummary("Replace a version that is not in force yet.")
            .Accepts<ModelPriceRequest>("application/json").Produces<ErrorBody>(StatusCodes.Status404NotFound).Produces<ErrorBody>(StatusCodes.Status409Conflict);
        prices.MapDelete("/{priceId}", WithdrawAsync).WithName("withdrawModelPrice").WithSummary("Withdraw a version that is not in force yet.")
            .Produces<ErrorBody>(StatusCodes.Status404NotFound).Produces<ErrorBody>(StatusCodes.Status409Conflict);
    }

    public static ModelPriceResponse Response(ModelPrice price, ModelPrice? inForce, DateTimeOffset now) => new(
        price.PriceId,
        "model.price",
        price.EffectiveFrom > now ? "scheduled" : price.PriceId == inForce?.PriceId ? "in_force" : "past",
        price.EffectiveFrom,
        price.Input,
        price.CachedInput,
        price.CacheWrite,
        price.Output,
        price.Reasoning,
        [.. price.LongContext.Select(l => new LongContextResponse(l.Above, l.Input, l.CachedInput, l.CacheWrite, l.Output, l.Reasoning))],
        AdminFields.Word(price.Source),
        price.CreatedAt,
        price.CreatedBy);

    private static async Task<Ok<ListResponse<ModelPriceResponse>>> ListAsync(
        NameInPath id, ModelCatalog catalog, PriceBook book, TimeProvider time, CancellationToken cancellationToken)
    {
        var target = TargetOf(catalog, id);
        var now = time.GetUtcNow();
        var versions = await book.HistoryAsync(target.Provider, target.UpstreamModel, cancellationToken);
        var inForce = versions.Find(p => p.EffectiveFrom <= now);
        return TypedResults.Ok(new ListResponse<ModelPriceResponse>("list", versions.ConvertAll(p => Response(p, inForce, now)), HasMore: false));
    }

    private static async Task<Created<ModelPriceResponse>> AddAsync(
        NameInPath id, HttpContext http, RequestCaller caller, ModelCatalog catalog, PriceBook book, RequestClaim claim, TimeProvider time, CancellationToken cancellationToken)
    {
        var target = TargetOf(catalog, id);
        var fields = await AdminFields.ReadAsync(http.Request, Fields, cancellationToken);
        var now = time.GetUtcNow();
        var price = Read(fields, target, time.NewId(), fields.FutureTime("effective_from", now) ?? now, caller, now);
        var response = Response(price, price, now);
        var done = await book.AddAsync(
            price,
            AuditOf(http, caller, time, AuditActions.PriceAdded, id, price.PriceId, price),
            (db, token) => claim.CompleteAsync(db, StatusCodes.Status201Created, location: null, response, token),
            cancellationToken);
        ThrowUnlessDone(done);
        return TypedResults.Created((string?)null, response);
    }

    private static async Task<Ok<ModelPriceResponse>> ReplaceAsync(
        NameInPath id, Guid priceId, HttpContext http, RequestCaller caller, ModelCatalog catalog, PriceBook book, TimeProvider time, CancellationToken cancellationToken)
    {
        var target = TargetOf(catalog, id);
        var fields = await AdminFields.ReadAsync(http.Request, Fields, cancellationToken);
        var now = time.GetUtcNow();
        var effective = fields.FutureTime("effective_from", now) ?? throw WireException.BadRequest("'effective_from' is missing: say from when the version holds.", "effective_from", "missing_field");
        var price = Read(fields, target, priceId, effective, caller, now);
        ThrowUnlessDone(await book.CorrectAsync(
            target.Provider, target.UpstreamModel, priceId, price, AuditOf(http, caller, time, AuditActions.PriceReplaced, id, priceId, price), cancellationToken));
        return TypedResults.Ok(Response(price, null, now));
    }

    private static async Task<NoContent> WithdrawAsync(
        NameInPath id, Guid priceId, HttpContext http, RequestCaller caller, ModelCatalog catalog, PriceBook book, TimeProvider time, CancellationToken cancellationToken)
    {
        var target = TargetOf(catalog, id);
        ThrowUnlessDone(await book.CorrectAsync(
            target.Provider, target.UpstreamModel, priceId, null, AuditOf(http, caller, time, AuditActions.PriceWithdrawn, id, priceId, null), cancellationToken));
        return TypedResults.NoContent();
    }

    private static ModelTarget TargetOf(ModelCatalog catalog, NameInPath id)
    {
        var (provider, model, _) = CatalogEndpoints.ModelOf(catalog, id.Value);
        return new ModelTarget(provider, catalog.Providers[provider], model);
    }

    private static void ThrowUnlessDone(PriceChange change)
    {
        switch (change)
        {
            case PriceChange.NotFound:
                throw Administration.NotFound("version of this model's price", "price_id");
            case PriceChange.InForce:
                throw Administration.Conflict(
                    "price_in_force", $"This version is or was in force, or begins within {PriceBook.FixedBefore.TotalSeconds} seconds: it stays as it is. Add another version.", "price_id");
            case PriceChange.TimeTaken:
                throw Administration.Conflict("price_time_taken", "Another version begins at that very time; replace that one, or choose another time.", "effective_from");
        }
    }

    private static ModelPrice Read(AdminFields fields, ModelTarget target, Guid id, DateTimeOffset effectiveFrom, RequestCaller caller, DateTimeOffset now)
    {
        var rates = Rates(fields, "");
        return new ModelPrice
        {
            TenantId = TenantScope.PlatformTenantId,
            PriceId = id,
            Provider = target.Provider,
            UpstreamModel = target.UpstreamModel,
            // As exact as the table's, so that what is answered is what is kept.
            EffectiveFrom = new DateTimeOffset(effectiveFrom.UtcTicks - (effectiveFrom.UtcTicks % TimeSpan.TicksPerMillisecond), TimeSpan.Zero),
            Input = rates.Input,
            CachedInput = rates.CachedInput,
            CacheWrite = rates.CacheWrite,
            Output = rates.Output,
            Reasoning = rates.Reasoning,
            LongContext = Tiers(fields),
            Source = PriceSource.Api,
            CreatedAt = now,
            CreatedBy = CatalogEndpoints.ByOf(caller),
        };
    }

    private static LongContextPrice[] Tiers(AdminFields fields)
    {
        var tiers = new List<LongContextPrice>();
        foreach (var (path, tier) in fields.Objects("long_context", MaxTiers, TierFields))
        {
            var above = tier.Whole("above", 1, MaxThreshold) ?? throw WireException.BadRequest($"'{path}.above' is missing.", $"{path}.above", "missing_field");
            if (tiers is [.., var before] && above <= before.Above)
                throw WireException.BadRequest($"'{path}.above' must be more than that of the threshold before it.", $"{path}.above", "invalid_value");
            var rates = Rates(tier, $"{path}.");
            tiers.Add(new LongContextPrice(above, rates.Input, rates.CachedInput, rates.CacheWrite, rates.Output, rates.Reasoning));
        }

        return [.. tiers];
    }

    private static PriceRates Rates(AdminFields fields, string prefix)
    {
        var input = Required("input");
        var output = Required("output");
        return new PriceRates(input, Rate("cached_input") ?? input, Rate("cache_write") ?? input, output, Rate("reasoning") ?? output);

        decimal Required(string name) => Rate(name) ?? throw WireException.BadRequest($"'{prefix}{name}' is missing: US dollars per million tokens.", prefix + name, "missing_field");

        decimal? Rate(string name)
        {
            var rate = fields.Number(name, 0, MostDollars);
            return rate is null || decimal.Round(rate.Value, 6) == rate
                ? rate
                : throw WireException.BadRequest($"'{prefix}{name}' has more than six places.", prefix + name, "invalid_value");
        }
    }

    private static AuditEvent AuditOf(HttpContext http, RequestCaller caller, TimeProvider time, string action, NameInPath model, Guid priceId, ModelPrice? price)
        => caller.Value.Audit(http, time, action, TenantScope.PlatformTenantId) with
        {
            TargetKind = "model",
            TargetId = model.Value,
            Details = new JsonObject
            {
                ["price_id"] = priceId.ToString(),
                ["effective_from"] = price?.EffectiveFrom.ToString("O"),
                ["input"] = price?.Input,
                ["cached_input"] = price?.CachedInput,
                ["cache_write"] = price?.CacheWrite,
                ["output"] = price?.Output,
                ["reasoning"] = price?.Reasoning,
                ["long_context"] = price is null ? null : JsonSerializer.SerializeToNode(price.LongContext.Select(l => new { l.Above, l.Input, l.Output })),
            },
        };
}
