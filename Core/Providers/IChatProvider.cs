using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Providers;

/// <summary>Calls one provider for one attempt.</summary>
public interface IChatProvider
{
    /// <summary>Whether its wire has requests of this kind at all.</summary>
    bool Serves(ModelKind kind);

    /// <summary>The first field of the request that this provider cannot carry; null when it carries all. Nothing is dropped silently.</summary>
    UnsupportedField? FindUnsupported(ModelRequest request);

    /// <summary>
    /// Sends the request and yields the reply's events, reading each into <see cref="ChatCall.Reply"/>. The enumeration ends normally
    /// only when the reply is whole.
    /// </summary>
    /// <exception cref="ProviderException">The provider refused or failed.</exception>
    IAsyncEnumerable<ChatEvent> SendAsync(ChatCall call, Attempt attempt, CancellationToken cancellationToken);
}

/// <summary>What a target cannot be told, so that it leaves the route; the caller hears of it when no target is left.</summary>
/// <param name="Name">The field's place in the request.</param>
public sealed record UnsupportedField(string Name)
{
    /// <summary>What about it is not supported, when it is not the field as such.</summary>
    public string What { get; init; } = $"'{Name}'";

    public string Remedy { get; init; } = "Leave it out, or use a model of another provider.";
}

/// <summary>A provider did not give a whole reply.</summary>
public sealed class ProviderException(string code, string message, int? status = null, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>There was no connection: the provider never had the request.</summary>
    public const string NotReached = "connection_failed";

    /// <summary>A stable word: <c>rate_limited</c>, <c>timeout</c>, <c>connection_failed</c>, <c>cut</c>, <c>malformed</c>, <c>refused</c>, <c>auth_failed</c>, <c>server_error</c>, <c>stream_error</c>.</summary>
    public string Code { get; } = code;

    /// <summary>HTTP status; null when none came.</summary>
    public int? Status { get; } = status;

    public TimeSpan? RetryAfter { get; init; }

    /// <summary>The provider's error body.</summary>
    public ReadOnlyMemory<byte> Body { get; init; }

    /// <summary>The caller's request was at fault: another target would refuse it too, and the provider is healthy.</summary>
    public bool IsCallersFault => Code == "refused";
}
