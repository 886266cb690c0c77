using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;

namespace AiAspire.Load.Gateway;

/// <summary>When a caller leaves.</summary>
internal enum Leaving
{
    Never,

    /// <summary>Some milliseconds after asking: before the provider is called, while it is silent, or while a whole reply is being settled.</summary>
    BeforeHeaders,

    /// <summary>With the headers, before the first content.</summary>
    BeforeContent,

    MidStream,

    /// <summary>When the last content has come and the books are being closed.</summary>
    WhileSettling,
}

/// <summary>A question whose answer is known.</summary>
/// <param name="Conversation">Names the question in the ledger.</param>
/// <param name="HasKey">With an <c>Idempotency-Key</c> the question may be asked again.</param>
internal sealed record Question(Guid Conversation, string Model, bool Stream, string Answer, bool HasKey, Leaving Leaving);

/// <summary>How one try ended, as its caller saw it.</summary>
internal enum TryEnd
{
    /// <summary>The whole answer, marked as such, and the right one.</summary>
    Whole,

    /// <summary>An error status with an error object.</summary>
    Refused,

    /// <summary>An error event, and no end mark.</summary>
    EndedEarly,

    /// <summary>No connection, or it broke: nothing was claimed.</summary>
    Broken,

    /// <summary>The caller left.</summary>
    Left,

    /// <summary>Something that looks like an answer and is not it, or an end that says nothing.</summary>
    Lie,
}

internal sealed record Try(TryEnd End, string Detail, TimeSpan? RetryAfter = null, bool? ShouldRetry = null)
{
    /// <summary>409: the request is being worked on.</summary>
    public bool InProgress { get; init; }
}

/// <summary>What became of a question.</summary>
internal sealed record Outcome(Question Question, IReadOnlyList<Try> Tries)
{
    public TryEnd End => Tries[^1].End;

    public bool Served => End == TryEnd.Whole;

    /// <summary>No process was killed or restarted meanwhile, nor just before: only providers misbehaved.</summary>
    public bool AllProcessesWell { get; init; }

    /// <summary>Its caller meant to leave and never to ask again: nobody waited for the end, whatever it was.</summary>
    public bool Forsaken => Question is { Leaving: not Leaving.Never, HasKey: false };
}

/// <summary>
/// Asks as the official SDKs do: at most five retries, of connections that failed, of 408, 409, 429 and 5xx unless <c>x-should-retry</c> says no,
/// after <c>Retry-After</c> or an exponential pause. As behind a load balancer, each try goes to a replica drawn anew, and to the other when that one takes
/// no connection. Beyond an SDK, a stream that ended early is asked for again, with the same <c>Idempotency-Key</c>, and as long as the answer is 409,
/// for the first request is still in progress, it is waited for.
/// </summary>
internal sealed class GatewayCaller(HttpMessageInvoker http, IReadOnlyList<Uri> replicas, string credential, TimeProvider time, Random random)
{
    private const int Retries = 5;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public async Task<Outcome> AskAsync(Question question, CancellationToken cancellationToken)
    {
        var (tries, failures, started) = (new List<Try>(), 0, time.GetTimestamp());
        while (true)
        {
            var leaving = tries.Count == 0 ? question.Leaving : Leaving.Never;
            var done = await TryAsync(question, leaving, cancellationToken);
            tries.Add(done);
            if (!done.InProgress)
                failures++;
            if (done.End is TryEnd.Whole or TryEnd.Lie || !question.HasKey || done.ShouldRetry == false || failures > Retries || time.GetElapsedTime(started) > Patience)
                return new Outcome(question, tries);
            await Task.Delay(Pause(done, failures), time, cancellationToken);
        }
    }

    private TimeSpan Pause(Try done, int failures)
    {
        if (done.RetryAfter is { } asked && asked <= TimeSpan.FromSeconds(60))
            return asked;
        return TimeSpan.FromSeconds(Math.Min(0.5 * Math.Pow(2, Math.Max(0, failures - 1)), 8) * (1 - (0.25 * random.NextDouble())));
    }

    private async Task<Try> TryAsync(Question question, Leaving leaving, CancellationToken cancellationToken)
    {
        using var patience = new CancellationTokenSource(Patience, time);
        using var left = new CancellationTokenSource();
        using var all = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, left.Token, cancellationToken);
        try
        {
            if (leaving == Leaving.BeforeHeaders)
                left.CancelAfter(TimeSpan.FromMilliseconds(random.Next(1, 120)));
            using var response = await SendAsync(question, all.Token);
            if (leaving == Leaving.BeforeContent)
                return new Try(TryEnd.Left, "with the headers");
            if (response.StatusCode != HttpStatusCode.OK)
                return await RefusedAsync(response, all.Token);
            return question.Stream ? await ReadStreamAsync(question, leaving, response, all.Token) : await ReadWholeAsync(question, response, all.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return left.IsCancellationRequested ? new Try(TryEnd.Left, "before the headers") : new Try(TryEnd.Broken, $"nothing for {Patience.TotalSeconds} s");
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return new Try(TryEnd.Broken, e.Message);
        }
    }

    private async Task<HttpResponseMessage> SendAsync(Question question, CancellationToken cancellationToken)
    {
        var first = random.Next(replicas.Count);
        for (var i = 0; ; i++)
        {
            try
            {
                using var request = Request(question, replicas[(first + i) % replicas.Count]);
                return await http.SendAsync(request, cancellationToken);
            }
            catch (HttpRequestException e) when (e.HttpRequestError == HttpRequestError.ConnectionError && i + 1 < replicas.Count)
            {
                // Nobody listens there: nothing was sent.
            }
        }
    }

    private static async Task<Try> RefusedAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var text = await response.Content.ReadAsStringAsync(cancellationToken);
        var status = (int)response.StatusCode;
        if (ErrorCode(text) is not { } code)
            return new Try(TryEnd.Lie, $"status {status} without an error object: {text}");
        var told = response.Headers.TryGetValues("x-should-retry", out var values) ? values.First() : null;
        return new Try(
            TryEnd.Refused, string.Create(CultureInfo.InvariantCulture, $"{status} {code}"), response.Headers.RetryAfter?.Delta,
            told is not null ? told == "true" : status is 408 or 409 or 429 or >= 500)
        {
            InProgress = status == 409,
        };
    }

    private static async Task<Try> ReadWholeAsync(Question question, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var text = await response.Content.ReadAsStringAsync(cancellationToken);
        try
        {
            var choice = JsonElement.Parse(text).GetProperty("choices")[0];
            var content = choice.GetProperty("message").GetProperty("content").GetString();
            return content == question.Answer && choice.GetProperty("finish_reason").GetString() == "stop"
                ? new Try(TryEnd.Whole, "")
                : new Try(TryEnd.Lie, $"'{question.Answer}' was asked for: {text}");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            return new Try(TryEnd.Lie, $"status 200 with something else than a completion: {text}");
        }
    }

    private static async Task<Try> ReadStreamAsync(Question question, Leaving leaving, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancellationToken));
        var (text, pieces, finished) = (new StringBuilder(), 0, false);
        while (await reader.ReadLineAsync(cancellationToken) is { } line)
        {
            if (line.Length == 0)
                continue;
            if (line == "data: [DONE]")
                return finished && text.Equals(question.Answer) ? new Try(TryEnd.Whole, "") : new Try(TryEnd.Lie, $"[DONE] after '{text}', '{question.Answer}' was asked for");
            var item = JsonElement.Parse(line.AsSpan("data: ".Length));
            if (item.TryGetProperty("error", out var error))
                return new Try(TryEnd.EndedEarly, error.GetProperty("code").GetString() ?? "");
            if (item.GetProperty("choices") is var choices && choices.GetArrayLength() == 0)
                continue;
            if (choices[0].GetProperty("delta").TryGetProperty("content", out var content) && content.GetString() is { Length: > 0 } piece)
            {
                text.Append(piece);
                pieces++;
            }

            finished |= choices[0].GetProperty("finish_reason").ValueKind == JsonValueKind.String;
            if ((leaving == Leaving.MidStream && pieces == 3) || (leaving == Leaving.WhileSettling && finished))
                return new Try(TryEnd.Left, $"after {pieces} pieces");
        }

        return new Try(TryEnd.Lie, $"the stream ended after '{text}' without [DONE] and without an error");
    }

    private static string? ErrorCode(string text)
    {
        try
        {
            var error = JsonElement.Parse(text).GetProperty("error");
            return error.GetProperty("message").GetString() is { Length: > 0 } ? error.GetProperty("code").GetString() ?? error.GetProperty("type").GetString() : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            return null;
        }
    }

    private HttpRequestMessage Request(Question question, Uri replica)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(replica, "/v1/chat/completions"))
        {
            Content = JsonContent.Create(new { model = question.Model, stream = question.Stream, messages = new[] { new { role = "user", content = $"say exactly: {question.Answer}" } } }),
        };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", credential);
        request.Headers.Add("X-AiAspire-Conversation", question.Conversation.ToString());
        if (question.HasKey)
            request.Headers.Add("Idempotency-Key", question.Conversation.ToString());
        return request;
    }
}
