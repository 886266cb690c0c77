using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Channels;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Notifications;

/// <summary>A POST as it came.</summary>
internal sealed record ReceivedWebhook(string Path, string Id, string Timestamp, string Signature, string Body)
{
    /// <summary>The check that the Standard Webhooks specification tells receivers to make, written from its text.</summary>
    public bool IsSignedWith(string secret)
    {
        var key = Convert.FromBase64String(secret.Split('_', 2)[1]);
        var expected = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"{Id}.{Timestamp}.{Body}"));
        return Signature.Split(' ').Select(s => s.Split(',')).Any(s => s[0] == "v1" && CryptographicOperations.FixedTimeEquals(Convert.FromBase64String(s[1]), expected));
    }
}

/// <summary>Someone else's endpoint, in this process.</summary>
internal sealed class WebhookReceiver : IAsyncDisposable
{
    private readonly Channel<ReceivedWebhook> _received = Channel.CreateUnbounded<ReceivedWebhook>();
    private readonly ConcurrentQueue<Func<HttpListenerResponse, Task>> _answers = new();
    private readonly LocalListener _listener;

    public WebhookReceiver() => _listener = new LocalListener(TakeAsync);

    public Uri Address => _listener.Address;

    /// <summary>How the next POSTs are answered; when there is nothing here, with 204.</summary>
    public WebhookReceiver Answer(Func<HttpListenerResponse, Task> answer)
    {
        _answers.Enqueue(answer);
        return this;
    }

    public async Task<ReceivedWebhook> NextAsync()
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        timeout.CancelAfter(TimeSpan.FromSeconds(30));
        try
        {
            return await _received.Reader.ReadAsync(timeout.Token);
        }
        catch (OperationCanceledException e)
        {
            throw new TimeoutException($"No webhook came to {Address} within 30 s.", e);
        }
    }

    public bool HasMore => _received.Reader.TryPeek(out _);

    public ValueTask DisposeAsync() => _listener.DisposeAsync();

    private async Task TakeAsync(HttpListenerContext context)
    {
        using var reader = new StreamReader(context.Request.InputStream, Encoding.UTF8);
        var headers = context.Request.Headers;
        var received = new ReceivedWebhook(
            context.Request.RawUrl!, headers["webhook-id"]!, headers["webhook-timestamp"]!, headers["webhook-signature"]!, await reader.ReadToEndAsync());
        await _received.Writer.WriteAsync(received);
        _ = AnswerAsync(context.Response);
    }

    private async Task AnswerAsync(HttpListenerResponse response)
    {
        response.StatusCode = 204;
        if (_answers.TryDequeue(out var answer))
            await answer(response);
        response.Close();
    }
}
