using AiAspire.Api.Chat;
using AiAspire.Api.Errors;
using AiAspire.Api.Idempotency;
using AiAspire.Api.Identity;
using AiAspire.Core.Chat;

namespace AiAspire.Api.Moderations;

internal static class ModerationEndpoints
{
    private const string DefaultFeature = "moderations";

    public static void MapModerations(this IEndpointRouteBuilder v1)
        => v1.MapPost("/moderations", ModerateAsync)
            .Accepts<CreateModerationRequest>("application/json")
            .Produces<Moderation>()
            .Produces<ErrorBody>(StatusCodes.Status400BadRequest)
            .Produces<ErrorBody>(StatusCodes.Status404NotFound)
            .Produces<ErrorBody>(StatusCodes.Status429TooManyRequests)
            .WithName("createModeration")
            .WithSummary("Classify content as harmful or not.")
            .ClaimsKeyItself()
            .WithTags("Moderations");

    private static Task ModerateAsync(HttpContext http, ModelCalls calls, RequestCaller caller, RequestParser parser)
        => calls.RunAsync(http, "POST /v1/moderations", DefaultFeature, body => parser.ParseModeration(body, caller.Value));
}
