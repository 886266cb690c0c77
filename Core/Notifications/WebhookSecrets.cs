using System.Security.Cryptography;
using AiAspire.Core.Encryption;

namespace AiAspire.Core.Notifications;

/// <summary>
/// Signing keys of webhooks (Standard Webhooks: <c>whsec_</c> and 24 to 64 random bytes in base64), kept encrypted. The content key is
/// one of the tenant's own in the key store, under an id that no user has.
/// </summary>
public sealed class WebhookSecrets(UserKeys keys)
{
    public const string Prefix = "whsec_";
    private const int KeyBytes = 32;
    private static readonly Guid KeyOwner = new("00000000-0000-7000-8000-00000000a001");

    /// <summary>A new key in the form that is shown once.</summary>
    public static string Create() => Prefix + Convert.ToBase64String(RandomNumberGenerator.GetBytes(KeyBytes));

    public static byte[] Bytes(string secret) => Convert.FromBase64String(secret[Prefix.Length..]);

    public async Task<byte[]> SealAsync(Guid tenantId, Guid webhookId, string secret, CancellationToken cancellationToken)
        => (await keys.GetAsync(tenantId, KeyOwner, cancellationToken)).Encrypt(Bytes(secret), Place(webhookId));

    /// <returns>The key's bytes.</returns>
    public async Task<byte[]> OpenAsync(Guid tenantId, Guid webhookId, byte[] ciphertext, CancellationToken cancellationToken)
        => (await keys.GetAsync(tenantId, KeyOwner, cancellationToken)).Decrypt(ciphertext, Place(webhookId));

    private static ContentPlace Place(Guid webhookId) => new("notification_webhooks", "secret", webhookId);
}
