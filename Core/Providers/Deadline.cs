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

    /// <param name="settings">The provider's time limits.</param>
    /// <param name="most">What the request's own deadline leaves for the first byte.</param>
    /// <param name="time">Clock.</param>
    /// <param name="caller">Cancelled when the caller leaves.</param>
    public Deadline(ProviderOptions settings, TimeSpan? most, TimeProvider time, CancellationToken caller)
    {
        var first = TimeSpan.FromSeconds(settings.FirstTokenSeconds);
        _caller = caller;
        _idle = TimeSpan.FromSeconds(settings.IdleSeconds);
        _timeout = new CancellationTokenSource(most < first ? most.Value : first, time);
        _linked = CancellationTokenSource.CreateLinkedTokenSource(_timeout.Token, caller);
    }

    public CancellationToken Token => _linked.Token;

    /// <summary>Starts the wait for the next bytes.</summary>
    public void Next()
    {
        if (!_timeout.IsCancellationRequested)
            _timeout.CancelAfter(_idle);
    }

    public void ThrowIfCallerLeft() => _caller.ThrowIfCancellationRequested();

    /// <summary>What a transport exception means. Throws the cancellation itself when the caller left.</summary>
    public ProviderException Explain(Exception exception)
    {
        ThrowIfCallerLeft();
        if (_timeout.IsCancellationRequested)
            return new ProviderException("timeout", "The provider did not answer in time.", inner: exception);
        // The handler's connect time-out comes as a cancellation with this inside.
        if (exception is OperationCanceledException { InnerException: TimeoutException })
            return new ProviderException(ProviderException.NotReached, "The provider could not be reached in time.", inner: exception);
        return exception is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError }
            ? new ProviderException(ProviderException.NotReached, "The provider could not be reached.", inner: exception)
            : new ProviderException("cut", "The connection to the provider broke before the reply was complete.", inner: exception);
    }

    public void Dispose()
    {
        _linked.Dispose();
        _timeout.Dispose();
    }
}
