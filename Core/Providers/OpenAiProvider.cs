using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Providers;

/// <summary>
/// A provider that speaks OpenAI's wire, so the request and every event pass verbatim but for what policy changes.
/// Serves OpenAI, Azure OpenAI (v1 API), vLLM, Ollama and others alike.
/// </summary>
public sealed class OpenAiProvider(ProviderHttp http, TimeProvider time) : IChatProvider
{
    private static readonly byte[] Done = "[DONE]"u8.ToArray();

    public bool Serves(ModelKind kind) => true;

    public UnsupportedField? FindUnsupported(ModelRequest request) => null;

    public async IAsyncEnumerable<ChatEvent> SendAsync(ChatCall call, Attempt attempt, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var settings = attempt.Target.Target.Settings;
        using var deadline = new Deadline(settings, attempt.FirstTokenLimit, time, cancellationToken);
        using var request = Request(call, attempt);
        using var response = await SendAsync(request, deadline);
        attempt.Status = (int)response.StatusCode;
        attempt.ProviderRequestId = Header(response, "x-request-id");
        attempt.GrantedRequests = Whole(response, "x-ratelimit-limit-requests");
        attempt.GrantedTokens = Whole(response, "x-ratelimit-limit-tokens");
        if (!response.IsSuccessStatusCode)
            throw await ProviderErrors.FromResponseAsync(response, time, deadline);
        if (!call.Request.Stream)
        {
            yield return await ReadWholeAsync(response, call.Reply, deadline);
            yield break;
        }

        await using var body = await response.Content.ReadAsStreamAsync(deadline.Token);
        await using var events = SseParser.Create(body, static (_, data) => data.SequenceEqual(Done) ? null : data.ToArray())
            .EnumerateAsync(deadline.Token)
            .GetAsyncEnumerator(deadline.Token);
        while (true)
        {
            deadline.Next();
            if (!await MoveNextAsync(events, deadline))
                throw new ProviderException("cut", "The provider's stream ended before it was complete.", attempt.Status);
            if (events.Current.Data is not { } json)
                yield break;
            if (json.Length > 0)
                yield return ReadEvent(call.Reply, json, ChatEventKind.Chunk, attempt.Status);
        }
    }

    private static string? Header(HttpResponseMessage response, string name)
        => response.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;

    private static int? Whole(HttpResponseMessage response, string name)
        => int.TryParse(Header(response, name), NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : null;

    private static HttpRequestMessage Request(ChatCall call, Attempt attempt)
    {
        var target = attempt.Target.Target;
        var body = new ArrayBufferWriter<byte>(call.Request.Bytes + 256);
        call.Request.WriteUpstream(body, target.UpstreamModel, call.OutputCap, target.Settings);
        var request = new HttpRequestMessage(HttpMethod.Post, ProviderAddress.Of(target.Settings, call.Request.Path))
        {
            Content = new ReadOnlyMemoryContent(body.WrittenMemory) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } },
            Version = HttpVersion.Version11,
        };
        if ((attempt.Key?.Secret ?? target.Settings.ApiKey) is { } key && key != ProvidersRegistration.NoKey)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        // OpenAI echoes this in its logs; the Simulator writes it on its bill.
        request.Headers.TryAddWithoutValidation("X-Client-Request-Id", attempt.AttemptId.ToString());
        return request;
    }

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, Deadline deadline)
    {
        try
        {
            return await http.Invoker.SendAsync(request, deadline.Token);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            throw deadline.Explain(e);
        }
    }

    private static async Task<ChatEvent> ReadWholeAsync(HttpResponseMessage response, ReplyTally reply, Deadline deadline)
    {
        byte[] json;
        try
        {
            json = await response.Content.ReadAsByteArrayAsync(deadline.Token);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            throw deadline.Explain(e);
        }

        return ReadEvent(reply, json, ChatEventKind.Completion, (int)response.StatusCode);
    }

    private static async ValueTask<bool> MoveNextAsync(IAsyncEnumerator<SseItem<byte[]?>> events, Deadline deadline)
    {
        try
        {
            return await events.MoveNextAsync();
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            throw deadline.Explain(e);
        }
    }

    private static ChatEvent ReadEvent(ReplyTally reply, byte[] json, ChatEventKind kind, int? status)
    {
        ChatEventKind read;
        try
        {
            read = reply.Read(json, kind);
        }
        catch (JsonException e)
        {
            throw new ProviderException("malformed", "The provider sent something that is not a reply to the request.", status, e);
        }

        return reply.SawError
            ? throw new ProviderException("stream_error", "The provider ended its reply with an error.", status) { Body = json }
            : new ChatEvent(read, json);
    }
}
