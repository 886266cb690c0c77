using System.Collections.Concurrent;
using System.Net;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Gateway;

/// <summary>A collector of OpenTelemetry's HTTP protocol (OTLP 1.x, protobuf) that keeps the spans it is sent, undecoded: names and ids stand in them as they are.</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly ConcurrentQueue<byte[]> _spans = new();
    private readonly LocalListener _listener;

    public OtlpReceiver() => _listener = new LocalListener(KeepAsync);

    public Uri Address => _listener.Address;

    /// <summary>The batches of spans, each of one process.</summary>
    public IReadOnlyCollection<byte[]> Batches => _spans;

    public ValueTask DisposeAsync() => _listener.DisposeAsync();

    private async Task KeepAsync(HttpListenerContext context)
    {
        using var body = new MemoryStream();
        await context.Request.InputStream.CopyToAsync(body);
        if (context.Request.Url?.AbsolutePath == "/v1/traces")
            _spans.Enqueue(body.ToArray());
        context.Response.Close();
    }
}
