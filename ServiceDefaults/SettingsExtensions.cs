using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AiAspire.ServiceDefaults;

/// <summary>Settings that cannot be used are told to whoever wrote them, in sentences; the host itself would show a stack trace.</summary>
public static class SettingsExtensions
{
    /// <summary>Looks at every validated option before anything starts.</summary>
    /// <returns>False after it has said on standard error what is wrong: the process should end.</returns>
    public static bool HasUsableSettings(this IHost host)
    {
        ArgumentNullException.ThrowIfNull(host);
        try
        {
            host.Services.GetService<IStartupValidator>()?.Validate();
            return true;
        }
        catch (Exception e) when (FaultsIn(e) is { Count: > 0 } faults)
        {
            Console.Error.WriteLine($"The settings are not usable:\n  {string.Join("\n  ", faults)}");
            return false;
        }
    }

    /// <summary>Binding tells of an unknown key with an <see cref="InvalidOperationException"/>; several options at once come together in one exception.</summary>
    private static List<string> FaultsIn(Exception exception) => exception switch
    {
        AggregateException all => [.. all.InnerExceptions.SelectMany(FaultsIn)],
        OptionsValidationException invalid => [.. invalid.Failures],
        InvalidOperationException { Source: "Microsoft.Extensions.Configuration.Binder" } unknown => [unknown.Message],
        _ => [],
    };
}
