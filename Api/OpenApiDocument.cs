using Microsoft.OpenApi;

namespace AiAspire.Api;

internal static class OpenApiDocument
{
    private const string SchemeName = "bearer";

    /// <summary>The document at <c>/openapi/v1.json</c>, from which clients, tests and the leak sweep are driven.</summary>
    public static void AddOpenApiDocument(this IServiceCollection services)
        => services.AddOpenApi("v1", options => options.AddOperationTransformer(Idempotency.IdempotencyEndpoints.DescribeAsync).AddDocumentTransformer((document, _, _) =>
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
}
