using AiAspire.Simulator.Anthropic;
using AiAspire.Simulator.Models;
using AiAspire.Simulator.OpenAi;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator;

/// <summary>The routes of the company that this process plays; every other path answers 404 in its error shape.</summary>
internal sealed class CompanyRoutes(IServiceProvider services, Catalog catalog, ProviderFront front)
{
    public void Map(IEndpointRouteBuilder routes)
    {
        if (catalog.Company == Company.OpenAi) MapOpenAi(routes);
        else MapAnthropic(routes);
        routes.MapFallback("{**path}", front.UnknownRoute());
    }

    private void MapOpenAi(IEndpointRouteBuilder routes)
    {
        var models = Make<ModelsEndpoint>();
        Post(routes, "/v1/chat/completions", Make<ChatCompletionsEndpoint>().AnswerAsync);
        Post(routes, "/v1/embeddings", Make<EmbeddingsEndpoint>().AnswerAsync);
        Post(routes, "/v1/moderations", Make<ModerationsEndpoint>().AnswerAsync);
        routes.MapGet("/v1/models", front.Free("/v1/models", models.ListAsync));
        routes.MapGet("/v1/models/{id}", front.Free("/v1/models/{id}", models.RetrieveAsync));
    }

    private void MapAnthropic(IEndpointRouteBuilder routes)
    {
        var messages = Make<MessagesEndpoint>();
        var models = Make<AnthropicModelsEndpoint>();
        Post(routes, "/v1/messages", messages.AnswerAsync);
        routes.MapPost("/v1/messages/count_tokens", front.Free("/v1/messages/count_tokens", messages.CountAsync));
        routes.MapGet("/v1/models", front.Free("/v1/models", models.ListAsync));
        routes.MapGet("/v1/models/{id}", front.Free("/v1/models/{id}", models.RetrieveAsync));
    }

    private void Post(IEndpointRouteBuilder routes, string path, Func<ProviderCall, Task> answer)
    {
        routes.MapPost(path, front.Billed(path, answer));
        routes.MapMethods(path, ["GET", "PUT", "PATCH", "DELETE"], front.WrongMethod());
    }

    private T Make<T>() => ActivatorUtilities.CreateInstance<T>(services);
}
