using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Core.Files;

public static class FilesRegistration
{
    public static IServiceCollection AddFiles(this IServiceCollection services)
    {
        services.AddOptions<FileStorageOptions>()
            .BindConfiguration(FileStorageOptions.Section, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
        return services.AddSingleton<FileStore>().AddSingleton<FileRetention>();
    }
}
