using AiAspire.Api.Chat;
using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Core.Wire;

namespace AiAspire.Api.Embeddings;

internal static class EmbeddingEndpoints
{
    private const string DefaultFeature = "embeddings";

    public static void MapEmbeddings(this IEndpointRouteBuilder v1)
        => v1.MapPost("/embeddings", EmbedAsync)
            .Accepts<CreateEmbeddingRequest>("application/json")
            .Produces<EmbeddingList>()
            .Produces<ErrorBody>(StatusCodes.Status400BadRequest)
            .Produces<ErrorBody>(StatusCodes.Status404NotFound)
            .Produces<ErrorBody>(StatusCodes.Status429TooManyRequests)
            .WithName("createEmbedding")
            .WithSummary("Create embeddings of texts.")
            .ClaimsKeyItself()
            .WithTags("Embeddings");

    private static Task EmbedAsync(HttpContext http, ModelCalls calls)
        => calls.RunAsync(http, "POST /v1/embeddings", DefaultFeature, EmbeddingRequest.Parse);
}
