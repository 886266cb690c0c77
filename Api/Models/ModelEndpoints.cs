using System.Text.Json.Serialization;
using AiAspire.Api.Errors;
using AiAspire.Api.Identity;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;

namespace AiAspire.Api.Models;

/// <summary>OpenAI's model object.</summary>
/// <param name="Deprecation">Ours: the model is on its way out. Absent for the others.</param>
public sealed record ModelResponse(
    string Id, string Object, long Created, string OwnedBy, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DeprecationResponse? Deprecation = null);

/// <param name="SunsetAt">From then on the model is refused; null: that is not decided.</param>
/// <param name="Replacement">What to use instead.</param>
public sealed record DeprecationResponse(DateTimeOffset DeprecatedAt, DateTimeOffset? SunsetAt, string? Replacement);

public sealed record ModelListResponse(string Object, IReadOnlyList<ModelResponse> Data);

internal static class ModelEndpoints
{
    public static void MapModels(this IEndpointRouteBuilder v1)
    {
        var models = v1.MapGroup("/models").WithTags("Models");
        models.MapGet("/", List).WithName("listModels").WithSummary("The models and aliases that your tier allows.");
        // With everything after it: ids of models may hold slashes, which some SDKs escape and others do not.
        models.MapGet("/{**model}", Get).WithName("retrieveModel").WithSummary("One model.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
    }

    private static Ok<ModelListResponse> List(RequestCaller caller, ModelCatalog catalog, PriceBook prices, TimeProvider time)
        => TypedResults.Ok(new ModelListResponse("list", [.. Visible(caller, catalog, prices, time).Select(m => Response(m.Key, catalog, m.Value))]));

    private static Ok<ModelResponse> Get(NameInPath model, RequestCaller caller, ModelCatalog catalog, PriceBook prices, TimeProvider time)
    {
        foreach (var (id, target) in Visible(caller, catalog, prices, time))
        {
            if (string.Equals(id, model.Value, StringComparison.OrdinalIgnoreCase))
                return TypedResults.Ok(Response(id, catalog, target));
        }

        throw WireException.ModelNotFound(model.Value);
    }

    private static IEnumerable<KeyValuePair<string, ModelTarget>> Visible(RequestCaller caller, ModelCatalog catalog, PriceBook prices, TimeProvider time)
    {
        var now = time.GetUtcNow();
        return catalog.OfferedAt(now).Where(m => caller.Value.Entitlements.AllowsModel(m.Key) && prices.Find(m.Value) is not null);
    }

    /// <summary>An alias of several models outlives any one of them.</summary>
    private static ModelResponse Response(string id, ModelCatalog catalog, ModelTarget target) => new(
        id,
        "model",
        target.Model.Created.ToUnixTimeSeconds(),
        target.Provider,
        catalog.Model(id) is { } model && ModelDeprecation.Of(model.Model) is var (since, sunset, replacement) ? new DeprecationResponse(since, sunset, replacement) : null);
}
