using AiAspire.Simulator.Generation;
using AiAspire.Simulator.Models;
using AiAspire.Simulator.Replies;
using AiAspire.Simulator.Tokens;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.Anthropic;

/// <summary><c>POST /v1/messages</c> and <c>POST /v1/messages/count_tokens</c>.</summary>
internal sealed class MessagesEndpoint(ICompanyWire wire, Catalog catalog, ReplyWriter replies, TokenCounter tokens, PromptPrefixCache prefixes)
{
    public async Task AnswerAsync(ProviderCall call)
    {
        using var document = RequestJson.Parse(call.Body, wire);
        var body = new RequestJson(document.RootElement, "", wire);
        var model = call.ResolveModel(body.Required("model").String());
        call.Stream = body.OptionalBool("stream");
        var prompt = MessagesRequestReader.Read(body, counting: false);
        var promptTokens = prefixes.Count(prompt.Segments);
        if (promptTokens > model.ContextTokens) throw TooLong(model, promptTokens);
        await call.AdmitAsync(promptTokens);

        var (read, written) = prefixes.BreakpointHit(StableHash.Of(call.Key, StableHash.Of(model.Id)), prompt.Segments);
        call.Prompt = new TokenUsage(promptTokens - read - written, read, written, 0, 0);
        var now = call.Services.Time.GetUtcNow();
        call.ResponseId = $"msg_sim{Guid.CreateVersion7(now):N}";
        await call.WaitForFirstByteAsync();

        var plan = PlannedReply.Plan(
            replies.Write(prompt, model.Id, call.State.Behaviour), prompt, tokens, () => $"toolu_sim{Guid.CreateVersion7(now):N}");
        await ChatRun.AnswerAsync(call, plan, choices: 1, buffer => new MessageWriter(buffer, call, plan));
    }

    public async Task CountAsync(ProviderCall call)
    {
        using var document = RequestJson.Parse(call.Body, wire);
        var body = new RequestJson(document.RootElement, "", wire);
        var model = body.Required("model").String();
        if (catalog.Find(model) is null) throw new ProviderErrorException(wire.UnknownModel(model));
        var count = prefixes.Count(MessagesRequestReader.Read(body, counting: true).Segments);
        await ReplySender.SendJsonAsync(call, json =>
        {
            json.WriteStartObject();
            json.WriteNumber("input_tokens"u8, count);
            json.WriteEndObject();
        });
    }

    private static ProviderErrorException TooLong(SimulatedModel model, int promptTokens) => new(new ProviderError(
        400, "invalid_request_error", $"prompt is too long: {promptTokens} tokens > {model.ContextTokens} maximum"));
}
