using AiAspire.Core.Wire;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;
using Microsoft.IdentityModel.Tokens;

namespace AiAspire.Api.Identity;

/// <summary>
/// The signing keys of the OIDC authority, found by discovery. They are read again on a schedule, and, before a token is refused, when
/// it names a key that is not known: so an authority may sign with a new key the moment it publishes it. The authority is asked at most
/// every <see cref="Interval"/>, whatever tokens come; requests that need a newer answer wait for the next one. While it does not
/// answer, the keys it gave last go on being used.
/// </summary>
/// <remarks>Not the library's ConfigurationManager: that one refuses the first token of a new key and reads the keys afterwards.</remarks>
internal sealed partial class AuthorityKeys(IOptions<IdentityOptions> options, IHttpClientFactory http, TimeProvider time, ILogger<AuthorityKeys> logger)
    : BackgroundService, IConfigurationManager<OpenIdConnectConfiguration>
{
    public const string HttpClient = "oidc-authority";

    /// <summary>From the beginning of one reading to the next.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    /// <summary>How soon a key that the authority withdraws is forgotten.</summary>
    private static readonly TimeSpan RefreshEvery = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan FetchTimeout = TimeSpan.FromSeconds(5);

    /// <summary>Requests that may wait for a reading; beyond them, whoever sends made-up key ids would hold connections.</summary>
    private const int MaxWaiting = 1_000;

    private readonly Lock _lock = new();
    private Task<bool> _reading = Task.FromResult(true);
    private Task<bool>? _next;
    private DateTimeOffset _notBefore;
    private OpenIdConnectConfiguration? _known;
    private int _waiting;

    /// <summary>Makes sure, as far as the authority lets us, that the key is known with which this token says it was signed.</summary>
    /// <exception cref="WireException">503: the authority does not answer, so nobody can say whether the key is one of its own; or too many wait.</exception>
    public async Task EnsureKeyOfAsync(string token, CancellationToken cancellationToken)
    {
        if (!IsMissing(token))
            return;
        bool read;
        try
        {
            if (Interlocked.Increment(ref _waiting) > MaxWaiting)
                throw Unavailable("Too many tokens with unknown keys are being checked. Try again shortly.");
            read = await NextReading().WaitAsync(cancellationToken);
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }

        if (!read && IsMissing(token))
            throw Unavailable("The identity provider cannot be reached, so this token cannot be checked at the moment. API keys are served.");
    }

    public Task<OpenIdConnectConfiguration> GetConfigurationAsync(CancellationToken cancel)
        => Task.FromResult(Volatile.Read(ref _known) ?? throw new InvalidOperationException($"{nameof(EnsureKeyOfAsync)} comes first."));

    /// <summary>The library asks for it after a failure; everything there is to read was read before.</summary>
    public void RequestRefresh()
    {
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (options.Value.Authority is not null && !stoppingToken.IsCancellationRequested)
        {
            var read = await NextReading();
            await Task.Delay(read ? RefreshEvery : RetryEvery, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private bool IsMissing(string token)
    {
        if (Volatile.Read(ref _known) is not { } known)
            return true;
        JsonWebToken read;
        try
        {
            read = new JsonWebToken(token);
        }
        catch (ArgumentException)
        {
            // Validation will say what is wrong with it.
            return false;
        }

        // A token of another issuer or without a key id gives no reason to think that our authority has news.
        return read.Kid is { Length: > 0 } kid && read.Issuer == known.Issuer && known.SigningKeys.All(k => k.KeyId != kid);
    }

    /// <summary>A reading that begins after now: one under way may have got its answer before the key was published.</summary>
    private Task<bool> NextReading()
    {
        lock (_lock)
            return _next ??= ReadNextAsync(_reading);
    }

    private async Task<bool> ReadNextAsync(Task<bool> before)
    {
        await Task.Yield();
        await before;
        var wait = _notBefore - time.GetUtcNow();
        if (wait > TimeSpan.Zero)
            await Task.Delay(wait, time);
        lock (_lock)
        {
            _notBefore = time.GetUtcNow() + Interval;
            (_reading, _next) = (_next!, null);
        }

        return await ReadAsync();
    }

    private async Task<bool> ReadAsync()
    {
        var authority = options.Value.Authority!;
        try
        {
            using var limit = new CancellationTokenSource(FetchTimeout, time);
            var documents = new HttpDocumentRetriever(http.CreateClient(HttpClient)) { RequireHttps = !new Uri(authority).IsLoopback };
            var found = await OpenIdConnectConfigurationRetriever.GetAsync($"{authority.TrimEnd('/')}/.well-known/openid-configuration", documents, limit.Token);
            // OpenID Connect Discovery 1.0 §4.3: or else anyone who answers at that address speaks for the issuer it names.
            if (found.Issuer?.TrimEnd('/') != authority.TrimEnd('/'))
                throw new InvalidOperationException($"It calls itself '{found.Issuer}'.");
            if (found.SigningKeys.Count == 0)
                throw new InvalidOperationException("It publishes no signing key.");
            if (Interlocked.Exchange(ref _known, found) is null)
                LogFound(logger, authority, found.SigningKeys.Count);
            return true;
        }
        catch (Exception e)
        {
            if (Volatile.Read(ref _known) is { } known)
                LogUnreachable(logger, authority, known.SigningKeys.Count, e);
            else
                LogNeverReached(logger, authority, e);
            return false;
        }
    }

    private static WireException Unavailable(string message) => new(503, "server_error", "identity_provider_unavailable", message) { RetryAfter = Interval };

    [LoggerMessage(Level = LogLevel.Information, Message = "The OIDC authority {Authority} gave {Count} signing key(s)")]
    private static partial void LogFound(ILogger logger, string authority, int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The OIDC authority {Authority} gives no keys; the {Count} it gave last go on being used")]
    private static partial void LogUnreachable(ILogger logger, string authority, int count, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "The OIDC authority {Authority} has given no keys yet: tokens are answered 503 until it does, API keys are served")]
    private static partial void LogNeverReached(ILogger logger, string authority, Exception exception);
}
