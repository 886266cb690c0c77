using AiAspire.Core.Models;

namespace AiAspire.Core.Providers;

/// <summary>
/// The time limits of one attempt: until the first byte, then between bytes. Its token is also cancelled when the caller leaves, and
/// <see cref="Explain"/> tells the two apart, for the caller's leaving is no fault of the provider.
/// </summary>
internal sealed class Deadline : IDisposable
{
    private readonly CancellationTokenSource _timeout;
    private readonly CancellationTokenSource _linked;
    private readonly CancellationToken _caller;
    private readonly TimeSpan _idle;

    public Deadline(ProviderOptions settings, TimeProvider time, CancellationToken caller)
    {
        _caller = caller;
        _idle = TimeSpan.FromSeconds(settings.IdleSeconds);
        _timeout = new CancellationTokenSource(TimeSpan.FromSeconds(settings.FirstTokenSeconds), time);
        _linked = CancellationTokenSource.CreateLinkedTokenSource(_timeout.Token, caller);
    }

    public CancellationToken Token => _linked.Token;

    /// <summary>Starts the wait for the next bytes.</summary>
    public void Next()
    {
        if (!_timeout.IsCancellationRequested)
            _timeout.CancelAfter(_idle);
    }

    /// <summary>What a transport exception means. Throws the cancellation itself when the caller left.</summary>
    public ProviderException Explain(Exception exception)
    {
        _caller.ThrowIfCancellationRequested();
        if (_timeout.IsCancellationRequested)
            return new ProviderException("timeout", "The provider did not answer in time.", inner: exception);
        return exception is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError }
            ? new ProviderException("connection_failed", "The provider could not be reached.", inner: exception)
            : new ProviderException("cut", "The connection to the provider broke before the reply was complete.", inner: exception);
    }

    public void Dispose()
    {
        _linked.Dispose();
        _timeout.Dispose();
    }
}
