using System.Text.Json.Nodes;
using AiAspire.Core.Models;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace AiAspire.Api;

internal static class OpenApiDocument
{
    private const string SchemeName = "bearer";

    /// <summary>The document at <c>/openapi/v1.json</c>, from which clients, tests and the leak sweep are driven.</summary>
    public static void AddOpenApiDocument(this IServiceCollection services)
        => services.AddOpenApi("v1", options => options.AddOperationTransformer(Idempotency.IdempotencyEndpoints.DescribeAsync).AddOperationTransformer(ShowAsync).AddSchemaTransformer(PlainDecimalConverter.DescribeAsync).AddDocumentTransformer((document, _, _) =>
        {
            document.Info = new OpenApiInfo
            {
                Title = "AiAspire",
                Version = "v1",
                Description = "An AI backend that speaks OpenAI's wire: multi-tenant, metered, limited, audited.",
            };
            document.Components ??= new OpenApiComponents();
            document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>(StringComparer.Ordinal)
            {
                [SchemeName] = new OpenApiSecurityScheme
                {
                    Type = SecuritySchemeType.Http,
                    Scheme = "bearer",
                    Description = "An API key (sk-…) or a JWT of your identity provider.",
                },
            };
            document.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(SchemeName, document)] = [] }];
            return Task.CompletedTask;
        }));

    /// <summary>Requests that work as they stand, so that the page's "Test Request" does: with the models that this application offers.</summary>
    private static Task ShowAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellationToken)
    {
        var example = operation.OperationId switch
        {
            "createChatCompletion" => Chat(),
            "createEmbedding" => new JsonObject { ["model"] = Offered(ModelKind.Embedding), ["input"] = new JsonArray("one text", "another") },
            "createModeration" => new JsonObject { ["input"] = "I like cats." },
            "createJob" => new JsonObject { ["request"] = Chat() },
            "setServiceSwitch" or "setKillSwitch" => new JsonObject { ["engaged"] = false },
            _ => null,
        };
        if (example is not null && operation.RequestBody?.Content?.TryGetValue("application/json", out var body) == true)
            body.Example = example;
        return Task.CompletedTask;

        JsonObject Chat() => new()
        {
            ["model"] = Offered(ModelKind.Chat),
            ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "Hello" }),
        };
        string Offered(ModelKind kind)
        {
            var services = context.ApplicationServices;
            var names = services.GetRequiredService<ModelCatalog>().OfferedAt(services.GetRequiredService<TimeProvider>().GetUtcNow()).Where(m => m.Value.Model.Kind == kind).Select(m => m.Key).ToList();
            return names.Find(n => n == "default") ?? names.FirstOrDefault() ?? "";
        }
    }
}
