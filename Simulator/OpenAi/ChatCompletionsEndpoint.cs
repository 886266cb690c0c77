using AiAspire.Simulator.Generation;
using AiAspire.Simulator.Models;
using AiAspire.Simulator.Replies;
using AiAspire.Simulator.Tokens;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.OpenAi;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal sealed class ChatCompletionsEndpoint(ICompanyWire wire, ReplyWriter replies, TokenCounter tokens, PromptPrefixCache prefixes)
{
    private readonly ChatRequestReader _reader = new(wire);

    public async Task AnswerAsync(ProviderCall call)
    {
        using var document = RequestJson.Parse(call.Body, wire);
        var body = new RequestJson(document.RootElement, "", wire);
        var model = call.ResolveModel(body.Required("model").String());
        call.Stream = ChatRequestReader.IsStream(body);
        if (model.Kind != ModelKind.Chat) throw NotAChatModel();
        var prompt = _reader.Read(body, model);
        var promptTokens = prefixes.Count(prompt.Segments);
        if (promptTokens > model.ContextTokens) throw TooLong(model, promptTokens);
        await call.AdmitAsync(promptTokens);

        var cached = prefixes.AutomaticHit(StableHash.Of(call.Key, StableHash.Of(model.Id)), prompt.Segments, promptTokens);
        var now = call.Services.Time.GetUtcNow();
        call.Prompt = new TokenUsage(promptTokens - cached, cached, 0, 0, 0);
        call.ResponseId = $"chatcmpl-sim{Guid.CreateVersion7(now):N}";
        await call.WaitForFirstByteAsync();

        var plan = PlannedReply.Plan(
            replies.Write(prompt, model.Id, call.State.Behaviour), prompt, tokens, () => $"call_sim{Guid.CreateVersion7(now):N}");
        await ChatRun.AnswerAsync(call, plan, prompt.Choices, buffer => new ChatCompletionWriter(buffer, call, prompt, plan, now.ToUnixTimeSeconds()));
    }

    private static ProviderErrorException NotAChatModel() => new(new ProviderError(
        404, "invalid_request_error", "This is not a chat model and thus not supported in the v1/chat/completions endpoint.", "model"));

    private static ProviderErrorException TooLong(SimulatedModel model, int promptTokens) => new(new ProviderError(
        400, "invalid_request_error",
        $"This model's maximum context length is {model.ContextTokens} tokens. However, your messages resulted in {promptTokens} tokens.",
        "messages", "context_length_exceeded"));
}
