using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using AiAspire.Core.Jobs;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Json;
using Microsoft.Extensions.Options;

namespace AiAspire.Api.Jobs;

/// <summary>
/// A job as server-sent events (WHATWG HTML, "Server-sent events"):
/// <code>
/// event: state
/// data: {"id":"…","status":"running","tries":1,…}
///
/// id: 16777217
/// event: tokens
/// data: {"try":1,"chunks":[{"id":"…","choices":[{"delta":{"content":"Hel"}}]},…]}
///
/// id: end
/// event: state
/// data: {"id":"…","status":"succeeded","result":{…},…}
/// </code>
/// Tokens have ids, so that a listener who comes back with <c>Last-Event-ID</c> gets each of them once. A job that is tried again starts its
/// answer anew: the try says to which one tokens belong.
/// </summary>
internal sealed class JobEventStream(HttpContext http, JobReader reader, JsonSerializerOptions json)
{
    private const string LastEventId = "Last-Event-ID";
    private const string EndId = "end";

    /// <summary>Beneath notifications, and how soon a change of state is seen that nobody notifies of.</summary>
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    /// <summary>Proxies close what is silent; a comment line is no event.</summary>
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(15);

    public static async Task FollowAsync(
        Guid id, HttpContext http, JobReader reader, JobEventSignal signal, IOptions<JsonOptions> json, TimeProvider time,
        CancellationToken cancellationToken)
    {
        var last = http.Request.Headers[LastEventId].ToString();
        if (await reader.FindStateAsync(id, cancellationToken) is null)
            throw JobEndpoints.NotFound();
        if (last == EndId)
        {
            // Everything was told. Browsers reconnect after any end but this one.
            http.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        _ = long.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out var after);
        http.Response.ContentType = "text/event-stream; charset=utf-8";
        http.Response.Headers.CacheControl = "no-cache";
        http.Response.Headers["X-Accel-Buffering"] = "no";
        http.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        await new JobEventStream(http, reader, json.Value.SerializerOptions).RunAsync(id, after, signal, time, cancellationToken);
    }

    private async Task RunAsync(Guid id, long after, JobEventSignal signal, TimeProvider time, CancellationToken cancellationToken)
    {
        using var woken = signal.Listen(id);
        (JobState, int, double?, bool)? told = null;
        var lastWrite = time.GetTimestamp();
        while (true)
        {
            // The state before the events: a job that is over has written all of them.
            if (await reader.FindAsync(id, cancellationToken) is not { } job)
                return;
            var state = (job.State, job.Tries, job.Progress, job.CancelRequested);
            if (state != told && !job.IsOver)
            {
                told = state;
                await WriteAsync("state", null, JsonSerializer.SerializeToUtf8Bytes(JobResponse.Of(job, result: null), json), cancellationToken);
                lastWrite = time.GetTimestamp();
            }

            while (await reader.ReadEventsAsync(id, after, cancellationToken) is { Count: > 0 } events)
            {
                foreach (var item in events)
                    await WriteAsync("tokens", item.Sequence.ToString(CultureInfo.InvariantCulture), item.Data, cancellationToken);
                after = events[^1].Sequence;
                lastWrite = time.GetTimestamp();
            }

            if (job.IsOver)
            {
                var result = await reader.ReadResultAsync(job, cancellationToken);
                await WriteAsync("state", EndId, JsonSerializer.SerializeToUtf8Bytes(JobResponse.Of(job, result), json), cancellationToken);
                return;
            }

            await woken.WaitAsync(Poll, cancellationToken);
            if (time.GetElapsedTime(lastWrite) < KeepAlive)
                continue;
            lastWrite = time.GetTimestamp();
            await http.Response.Body.WriteAsync(": still there\n\n"u8.ToArray(), cancellationToken);
        }
    }

    private async Task WriteAsync(string kind, string? id, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        var head = id is null ? $"event: {kind}\ndata: " : $"id: {id}\nevent: {kind}\ndata: ";
        var body = http.Response.BodyWriter;
        Encoding.UTF8.GetBytes(head, body);
        // JSON in one line: the serializer's own has no line breaks, and a chunk that a provider broke into lines is one data field.
        foreach (var (line, isLast) in Lines(data))
        {
            body.Write(line.Span);
            body.Write(isLast ? "\n\n"u8 : "\ndata: "u8);
        }

        await body.FlushAsync(cancellationToken);
    }

    private static IEnumerable<(ReadOnlyMemory<byte> Line, bool IsLast)> Lines(ReadOnlyMemory<byte> data)
    {
        while (true)
        {
            var end = data.Span.IndexOfAny((byte)'\n', (byte)'\r');
            if (end < 0)
            {
                yield return (data, true);
                yield break;
            }

            yield return (data[..end], false);
            data = data[(end + 1)..];
        }
    }
}
