using AiAspire.Api.Errors;
using AiAspire.Api.Identity;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;

namespace AiAspire.Api.Models;

/// <summary>OpenAI's model object.</summary>
public sealed record ModelResponse(string Id, string Object, long Created, string OwnedBy);

public sealed record ModelListResponse(string Object, IReadOnlyList<ModelResponse> Data);

internal static class ModelEndpoints
{
    public static void MapModels(this IEndpointRouteBuilder v1)
    {
        var models = v1.MapGroup("/models").WithTags("Models");
        models.MapGet("/", List).WithName("listModels").WithSummary("The models and aliases that your tier allows.");
        models.MapGet("/{model}", Get).WithName("retrieveModel").WithSummary("One model.").Produces<ErrorBody>(StatusCodes.Status404NotFound);
    }

    private static Ok<ModelListResponse> List(RequestCaller caller, ModelCatalog catalog, PriceBook prices)
        => TypedResults.Ok(new ModelListResponse("list", [.. Visible(caller, catalog, prices).Select(m => Response(m.Key, m.Value))]));

    private static Ok<ModelResponse> Get(string model, RequestCaller caller, ModelCatalog catalog, PriceBook prices)
    {
        foreach (var (id, target) in Visible(caller, catalog, prices))
        {
            if (string.Equals(id, model, StringComparison.OrdinalIgnoreCase))
                return TypedResults.Ok(Response(id, target));
        }

        throw WireException.ModelNotFound(model);
    }

    private static IEnumerable<KeyValuePair<string, ModelTarget>> Visible(RequestCaller caller, ModelCatalog catalog, PriceBook prices)
        => catalog.Offered.Where(m => caller.Value.Entitlements.AllowsModel(m.Key) && prices.Find(m.Value) is not null);

    private static ModelResponse Response(string id, ModelTarget target)
        => new(id, "model", target.Model.Created.ToUnixTimeSeconds(), target.Provider);
}
