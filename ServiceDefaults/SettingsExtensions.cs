using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AiAspire.ServiceDefaults;

/// <summary>Settings that cannot be used are told to whoever wrote them, in sentences; the host itself would show a stack trace.</summary>
public static class SettingsExtensions
{
    /// <summary>Builds the application and looks at its settings; the server itself asks for some of them as it is built.</summary>
    /// <param name="builder">The builder.</param>
    /// <returns>Null after it has said on standard error what is wrong: the process should end.</returns>
    public static WebApplication? BuildWithUsableSettings(this WebApplicationBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        WebApplication? app = null;
        return AreUsable(() => Validate(app = builder.Build()), Console.Error) ? app : null;
    }

    /// <summary>Looks at every validated option before anything starts.</summary>
    /// <param name="host">The host.</param>
    /// <param name="errors">Where to say what is wrong; null: standard error.</param>
    /// <returns>False after it has said so: the process should end.</returns>
    public static bool HasUsableSettings(this IHost host, TextWriter? errors = null)
    {
        ArgumentNullException.ThrowIfNull(host);
        return AreUsable(() => Validate(host), errors ?? Console.Error);
    }

    private static void Validate(IHost host) => host.Services.GetService<IStartupValidator>()?.Validate();

    private static bool AreUsable(Action ask, TextWriter errors)
    {
        try
        {
            ask();
            return true;
        }
        catch (Exception e) when (FaultsIn(e) is { Count: > 0 } faults)
        {
            errors.WriteLine($"The settings are not usable:\n  {string.Join("\n  ", faults)}");
            return false;
        }
    }

    // Binding tells of an unknown key with an InvalidOperationException; several options at fault come together in one exception.
    private static List<string> FaultsIn(Exception exception) => exception switch
    {
        AggregateException all => [.. all.InnerExceptions.SelectMany(FaultsIn)],
        OptionsValidationException invalid => [.. invalid.Failures],
        InvalidOperationException { Source: "Microsoft.Extensions.Configuration.Binder" } unknown => [unknown.Message],
        _ => [],
    };
}
