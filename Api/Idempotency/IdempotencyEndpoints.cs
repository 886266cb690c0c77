using AiAspire.Api.Errors;
using AiAspire.Core.Idempotency;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace AiAspire.Api.Idempotency;

/// <summary>Says that an endpoint takes the <c>Idempotency-Key</c> header.</summary>
/// <param name="ByMiddleware">Whether <see cref="IdempotencyMiddleware"/> claims the key, or the endpoint itself.</param>
internal sealed record IdempotencyKeyMetadata(bool ByMiddleware);

internal static class IdempotencyEndpoints
{
    /// <summary>A key gives one effect: its handler must call <see cref="RequestClaim.CompleteAsync"/> in the transaction of the effect.</summary>
    public static RouteHandlerBuilder OncePerKey(this RouteHandlerBuilder endpoint) => endpoint.Takes(byMiddleware: true);

    /// <summary>The endpoint claims the key itself, because its answer is no plain JSON or ends in a transaction of its own.</summary>
    public static RouteHandlerBuilder ClaimsKeyItself(this RouteHandlerBuilder endpoint) => endpoint.Takes(byMiddleware: false);

    /// <summary>Writes the header into the OpenAPI document, at the operations that take it.</summary>
    public static Task DescribeAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellationToken)
    {
        if (!context.Description.ActionDescriptor.EndpointMetadata.OfType<IdempotencyKeyMetadata>().Any())
            return Task.CompletedTask;
        operation.Parameters ??= [];
        operation.Parameters.Add(new OpenApiParameter
        {
            Name = IdempotencyKey.Header,
            In = ParameterLocation.Header,
            Description = "A name for this request, of your choice. Sent again within 24 hours it has no second effect and gets the first answer (Idempotent-Replayed: true); "
                + "409 while the first is in progress; 422 with another payload.",
            Schema = new OpenApiSchema { Type = JsonSchemaType.String, MaxLength = IdempotencyKey.MaxLength },
        });
        return Task.CompletedTask;
    }

    private static RouteHandlerBuilder Takes(this RouteHandlerBuilder endpoint, bool byMiddleware) => endpoint
        .WithMetadata(new IdempotencyKeyMetadata(byMiddleware))
        .Produces<ErrorBody>(StatusCodes.Status409Conflict)
        .Produces<ErrorBody>(StatusCodes.Status422UnprocessableEntity);
}
