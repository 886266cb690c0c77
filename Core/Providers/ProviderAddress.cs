using AiAspire.Core.Models;

namespace AiAspire.Core.Providers;

internal static class ProviderAddress
{
    /// <summary>The address of a route beneath the provider's base address, with or without a slash at its end.</summary>
    public static Uri Of(ProviderOptions settings, string route) => new(settings.BaseAddress!.AbsoluteUri.TrimEnd('/') + "/" + route);
}
