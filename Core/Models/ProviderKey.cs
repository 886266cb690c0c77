namespace AiAspire.Core.Models;

/// <summary>A key of ours at a provider, ready for use. Never logged: its name is what people see.</summary>
/// <param name="Id">Null for the key that configuration gives.</param>
/// <param name="Provider">The provider's name in configuration.</param>
/// <param name="Name">For people; <c>configuration</c> for the configured one.</param>
/// <param name="Secret">What is sent.</param>
/// <param name="AddedAt">Null when nobody knows: configuration does not say.</param>
/// <param name="RequestsPerMinute">The provider's limit for this key and any one model; null: as the model says.</param>
/// <param name="TokensPerMinute">Likewise, of tokens.</param>
public sealed record ProviderKey(
    Guid? Id, string Provider, string Name, string Secret, DateTimeOffset? AddedAt = null, int? RequestsPerMinute = null, int? TokensPerMinute = null)
{
    public const string ConfiguredName = "configuration";

    public override string ToString() => $"{Provider}/{Name}";
}
