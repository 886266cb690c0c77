using System.ClientModel;
using System.Runtime.CompilerServices;
using System.Text;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Anthropic.Exceptions;
using Microsoft.Extensions.AI;

namespace AiAspire.Core.Providers;

/// <summary>
/// A provider behind an <see cref="IChatClient"/>: one of another wire, or any library's client. The request is translated; what
/// the translation cannot carry is refused by name, before the route is taken.
/// </summary>
public sealed class ChatClientProvider(ChatClientBinding binding, ProviderHttp http, TimeProvider time) : IChatProvider
{
    public bool Serves(ModelKind kind) => kind == ModelKind.Chat;

    public UnsupportedField? FindUnsupported(ModelRequest request) => ChatClientRequest.FindUnsupported((ChatRequest)request) ?? binding.FindUnsupported((ChatRequest)request);

    public async IAsyncEnumerable<ChatEvent> SendAsync(ChatCall call, Attempt attempt, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var target = attempt.Target.Target;
        using var deadline = new Deadline(target.Settings, attempt.FirstTokenLimit, time, cancellationToken);
        using var client = binding.Create(target, attempt.Key?.Secret ?? target.Settings.ApiKey ?? ProvidersRegistration.NoKey, http.SdkClient, attempt.AttemptId);
        var (messages, options) = Translate(call, target.UpstreamModel);
        var facts = new ResponseFacts();
        var writer = new ChatClientReply(call.Reply, target.UpstreamModel, time.GetUtcNow());
        if (!call.Request.Stream)
        {
            yield return writer.Completion(await ExplainedAsync(() => client.GetResponseAsync(messages, options, deadline.Token), deadline, facts));
            (attempt.Status, attempt.ProviderRequestId) = (200, facts.RequestId);
            yield break;
        }

        await using var updates = client.GetStreamingResponseAsync(messages, options, deadline.Token).GetAsyncEnumerator(deadline.Token);
        while (await ExplainedAsync(() => updates.MoveNextAsync().AsTask(), deadline, facts))
        {
            (attempt.Status, attempt.ProviderRequestId) = (200, facts.RequestId);
            deadline.Next();
            foreach (var chunk in writer.Chunks(updates.Current))
                yield return chunk;
        }

        // A client that saw its stream end early may simply stop: without a finish reason the reply is not whole.
        if (!writer.IsFinished)
            throw new ProviderException("cut", "The provider's stream ended before it was complete.", attempt.Status);
        yield return writer.UsageChunk();
    }

    /// <summary>What is misshapen deep inside the request (a tool without a name) meets us here, as it would meet the provider itself.</summary>
    private static (List<ChatMessage> Messages, ChatOptions Options) Translate(ChatCall call, string upstreamModel)
    {
        try
        {
            var request = (ChatRequest)call.Request;
            return (ChatClientRequest.Messages(request), ChatClientRequest.Options(request, upstreamModel, call.OutputCap));
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or ArgumentException or FormatException or System.Text.Json.JsonException)
        {
            throw new ProviderException("refused", "The messages, tools or response_format of the request are not of OpenAI's shape.", 400, e);
        }
    }

    private async Task<T> ExplainedAsync<T>(Func<Task<T>> send, Deadline deadline, ResponseFacts facts)
    {
        ResponseFacts.Current = facts;
        try
        {
            return await send();
        }
        catch (AnthropicApiException e)
        {
            throw ProviderErrors.FromStatus((int)e.StatusCode, Encoding.UTF8.GetBytes(e.ResponseBody), facts.RetryAfter(time), e);
        }
        catch (ClientResultException e) when (e.Status > 0)
        {
            throw ProviderErrors.FromStatus(e.Status, ReadOnlyMemory<byte>.Empty, facts.RetryAfter(time), e);
        }
        catch (AnthropicException e) when (e.InnerException is HttpRequestException or IOException or OperationCanceledException)
        {
            throw deadline.Explain(e.InnerException);
        }
        catch (AnthropicSseException e)
        {
            throw new ProviderException("stream_error", "The provider ended its reply with an error.", inner: e);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            throw deadline.Explain(e);
        }
        catch (Exception e) when (e is System.Text.Json.JsonException or AnthropicInvalidDataException or FormatException)
        {
            throw new ProviderException("malformed", "The provider sent something that is not a reply.", inner: e);
        }
    }
}
